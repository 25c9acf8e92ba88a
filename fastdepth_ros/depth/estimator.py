"""DepthEstimator: metric depth of a frame, and the duration of each stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import cv2
import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import (
    AUTO,
    FIELDS_OF_VIEW,
    Crop,
    Focal,
    camera_scale,
    fixed_focal_scale,
    network_view,
    trained_view,
)
from fastdepth_ros.depth.temporal import TemporalFilter
from fastdepth_ros.errors import FastDepthError

OUTPUTS = ("network", "camera")
OUTSIDE = ("keep", "invalid")
UNKNOWN = "the camera is unknown"
PERCENTILES = (50, 95, 99)  # of the stage times on /diagnostics
_CONVERSIONS = {
    "bgr": {"rgb": cv2.COLOR_BGR2RGB},
    "rgb": {"bgr": cv2.COLOR_RGB2BGR},
    "rgba": {"rgb": cv2.COLOR_RGBA2RGB, "bgr": cv2.COLOR_RGBA2BGR},
    "bgra": {"rgb": cv2.COLOR_BGRA2RGB, "bgr": cv2.COLOR_BGRA2BGR},
    "mono": {"rgb": cv2.COLOR_GRAY2RGB, "bgr": cv2.COLOR_GRAY2BGR},
}


@dataclass(frozen=True)
class EstimatorOptions:
    """Settings of the hot path: the node's parameters of these names, shared by bags, verbs and benchmarks.

    Args:
        field_of_view: "trained" or "full": which part of a frame the network sees.
        output_size: grid of the depth: the "network" input's, or the "camera" frame's, NaN outside the field of view.
        focal_scale: factor on the network's depth; "auto" takes it from the frame's camera matrix, "off" is 1.
        max_depth_m: range in meters; depth beyond it is +inf; 0 is no limit.
        outside_training_view: "keep" the depth at wider angles than the training camera saw, or make it "invalid".
        temporal_filter: weight of the previous depth, 0 (off) to below 1.

    Raises:
        FastDepthError: a value that is not allowed.
    """

    field_of_view: str = "trained"
    output_size: str = "network"
    focal_scale: str | float = AUTO
    max_depth_m: float = 0.0
    outside_training_view: str = "keep"
    temporal_filter: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (
            ("field_of_view", FIELDS_OF_VIEW), ("output_size", OUTPUTS), ("outside_training_view", OUTSIDE),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise FastDepthError(f"{name} is {getattr(self, name)!r}, it can be {', '.join(known)}")
        fixed_focal_scale(self.focal_scale)
        if not self.max_depth_m >= 0:
            raise FastDepthError(f"max_depth_m is {self.max_depth_m}, it must be 0 (no limit) or above")
        if not 0 <= self.temporal_filter < 1:
            raise FastDepthError(f"temporal_filter is {self.temporal_filter}, it must be 0 (off) to below 1")


@dataclass(frozen=True)
class DepthResult:
    """Depth of one frame.

    Args:
        depth: float32 HxW meters along the optical axis, NaN where invalid, +inf beyond `max_depth_m` (REP 117).
        from_frame: 3x3 map from frame pixels to depth pixels; multiply it from the left onto K and P.
        stages_ms: duration of each stage.
        focal_scale: the factor on the network's depth.
        unscaled: why the depth is not scaled to the camera's focal length though it should be, "" if it is.
        max_depth_m: beyond which depth is +inf.
    """

    depth: np.ndarray
    from_frame: np.ndarray
    stages_ms: dict[str, float]
    focal_scale: float = 1.0
    unscaled: str = ""
    max_depth_m: float = inf


@dataclass(frozen=True)
class Inferred:
    """Output of the network for a frame, before scaling to meters of this camera.

    Args:
        depth: float32 (size, size), as the backend gave it.
        crop: what the network saw of the frame.
        onto_input: 3x3 map from frame pixels to network input pixels.
        frame_shape: height and width.
    """

    depth: np.ndarray
    crop: Crop
    onto_input: np.ndarray
    frame_shape: tuple[int, int]
    stages_ms: dict[str, float]


class DepthEstimator:
    """The hot path, the same for the node, bags and single images. A new one with the same backend is cheap.

    Args:
        backend: a loaded engine.
        size_px: side of its network input.
        options: the defaults if None.
        trained_focal: focal lengths of the training camera at the network input; None is unknown.
    """

    def __init__(
        self,
        backend: Backend,
        size_px: int,
        options: EstimatorOptions | None = None,
        trained_focal: Focal | None = None,
    ) -> None:
        self.backend, self.options = backend, options or EstimatorOptions()
        self._size_px, self._trained_focal = size_px, trained_focal
        self._fixed_scale = fixed_focal_scale(self.options.focal_scale)
        self._max_depth_m = self.options.max_depth_m or inf
        self._filter = TemporalFilter(self.options.temporal_filter) if self.options.temporal_filter else None

    def __call__(
        self, frame: Frame, k: np.ndarray | None = None, stamp_ns: int | None = None, unknown: str = UNKNOWN
    ) -> DepthResult:
        """Estimate the depth of one frame.

        Args:
            k: the frame's camera matrix, 9 numbers; None is unknown.
            stamp_ns: the frame's, for the filter over time.
            unknown: why the camera matrix is unknown, where it is.

        Raises:
            FrameError: the frame is too small.
        """
        return self.measure(self.infer(frame), k, stamp_ns, unknown)

    def infer(self, frame: Frame) -> Inferred:
        """The first half of a call: prepare the frame and run the network.

        Raises:
            FrameError: the frame is too small.
        """
        started = time.perf_counter_ns()
        height, width = frame.pixels.shape[:2]
        crop, onto_input = network_view(self.options.field_of_view, height, width, self._size_px)
        pixels = network_input(frame, crop, self._size_px, self.backend.channels)
        prepared = time.perf_counter_ns()
        depth = self.backend.infer(pixels)
        finished = time.perf_counter_ns()
        stages_ms = {"preprocess": (prepared - started) / 1e6, "infer": (finished - prepared) / 1e6}
        return Inferred(depth, crop, onto_input, (height, width), stages_ms)

    def measure(
        self, inferred: Inferred, k: np.ndarray | None = None, stamp_ns: int | None = None, unknown: str = UNKNOWN
    ) -> DepthResult:
        """The second half: what the network said, as meters of this camera; arguments as of a call."""
        started = time.perf_counter_ns()
        crop, frame_shape, onto_camera = inferred.crop, inferred.frame_shape, self.options.output_size == "camera"
        ratio, scale, unscaled = self._scale(k, inferred.onto_input, unknown)
        depth = _meters(inferred.depth, scale)
        if self._filter is not None:
            depth[...] = self._filter(depth, (crop, frame_shape), stamp_ns)
        if self.options.outside_training_view == "invalid":
            _invalidate_outside(depth, ratio or _assumed_ratio(crop, frame_shape))
        from_frame = np.eye(3) if onto_camera else inferred.onto_input
        if onto_camera:  # what is invalid is so before the resize, that no depth is a mean of one and of none
            depth = _onto_camera(depth, crop, frame_shape)
        if self._max_depth_m < inf:  # last, for infinity cannot be interpolated
            depth[depth > self._max_depth_m] = inf
        stages_ms = {**inferred.stages_ms, "postprocess": (time.perf_counter_ns() - started) / 1e6}
        return DepthResult(depth, from_frame, stages_ms, scale, unscaled, self._max_depth_m)

    def _scale(
        self, k: np.ndarray | None, onto_input: np.ndarray, unknown: str
    ) -> tuple[tuple[float, float] | None, float, str]:
        """The camera's `focal_ratio` if known, the factor on the network's depth, and why it is not the camera's."""
        if k is None:
            ratio, scale, why = None, 1.0, unknown
        elif self._trained_focal is None:
            ratio, scale, why = None, 1.0, "the model's manifest lacks trained_focal_px"
        else:
            ratio, scale, why = camera_scale(k, onto_input, self._trained_focal)
        return (ratio, scale, why) if self._fixed_scale is None else (ratio, self._fixed_scale, "")


def network_input(frame: Frame, crop: Crop, size_px: int, channels: str = "rgb") -> np.ndarray:
    """Network input of a frame: crop, the only resize (bilinear, as in training), then the channel order.

    Args:
        frame: any size, any channel order.
        crop: part of the frame that the network sees.
        size_px: side of the network input.
        channels: order of the network input, "rgb" or "bgr"; a frame of that order is not converted.

    Returns:
        uint8 (size, size, 3).
    """
    view = frame.pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    small = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    return small if frame.order == channels else cv2.cvtColor(small, _CONVERSIONS[frame.order][channels])


def stage_key(stage: str, percentile: int) -> str:
    """Key of a stage time in the values of /diagnostics."""
    return f"{stage} p{percentile} [ms]"


def stage_times_ms(values: Mapping[str, str]) -> dict[str, dict[int, float]]:
    """Stage times in the values of /diagnostics: by stage, by percentile of PERCENTILES, in milliseconds."""
    found: dict[str, dict[int, float]] = {}
    for key, value in values.items():
        for percentile in PERCENTILES:
            if key.endswith(ending := stage_key("", percentile)):
                found.setdefault(key.removesuffix(ending), {})[percentile] = float(value)
    return found


def _meters(depth: np.ndarray, scale: float) -> np.ndarray:
    """Scaled depth; NaN where the network's output is 0 (ReLU), which means no answer."""
    meters = depth * np.float32(scale)
    if not (meters.min() > 0 and meters.max() < inf):  # two numbers are cheaper than a mask
        np.putmask(meters, ~((meters > 0) & (meters < inf)), np.nan)
    return meters


def _assumed_ratio(crop: Crop, frame_shape: tuple[int, int]) -> tuple[float, float]:
    """Part of the crop that the training view covers, in x and y, for a camera with the training camera's lens."""
    trained = trained_view(*frame_shape)
    return trained.width / crop.width, trained.height / crop.height


def _invalidate_outside(depth: np.ndarray, ratio: tuple[float, float]) -> None:
    """Make NaN, in place, what lies further from the middle of the view than the training images reached."""
    for axis, share in ((1, ratio[0]), (0, ratio[1])):
        size = depth.shape[axis]
        edge = round(size * (1 - min(share, 1.0)) / 2)
        for outside in (slice(0, edge), slice(size - edge, size)):
            depth[(slice(None), outside) if axis else outside] = np.nan


def _onto_camera(depth: np.ndarray, crop: Crop, frame_shape: tuple[int, int]) -> np.ndarray:
    full = np.empty(frame_shape, np.float32)
    rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
    for outside in (full[: rows.start], full[rows.stop :], full[rows, : columns.start], full[rows, columns.stop :]):
        outside.fill(np.nan)
    cv2.resize(depth, (crop.width, crop.height), dst=full[rows, columns], interpolation=cv2.INTER_LINEAR)
    return full
