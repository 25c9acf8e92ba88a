"""DepthEstimator: metric depth of a frame, and the duration of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fastdepth_ros.backends import Backend, Outputs
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import Placement, covered, fixed_focal_scale
from fastdepth_ros.depth.network import Network
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.errors import FastDepthError

if TYPE_CHECKING:
    from fastdepth_ros.depth.temporal import TemporalFilter

UNKNOWN = "the camera is unknown"
PERCENTILES = (50, 95, 99)  # of the stage times on /diagnostics


@dataclass(frozen=True)
class DepthResult:
    """Depth of one frame.

    Args:
        depth: float32 HxW meters along the optical axis, NaN where invalid, +inf beyond `max_depth_m` (REP 117) or
            where the network sees the sky.
        from_frame: 3x3 map from frame pixels to depth pixels; multiply it from the left onto K and P.
        stages_ms: duration of each stage.
        focal_scale: the factor on the network's depth.
        unscaled: reason why the depth is not scaled to the camera's focal length though it should be, "" if it is.
        max_depth_m: range in meters; depth beyond it is +inf.
        find_confidence: function that makes `confidence`.
    """

    depth: np.ndarray
    from_frame: np.ndarray
    stages_ms: dict[str, float]
    focal_scale: float = 1.0
    unscaled: str = ""
    max_depth_m: float = inf
    find_confidence: Callable[[], np.ndarray | None] = lambda: None

    @cached_property
    def confidence(self) -> np.ndarray | None:
        """float32 HxW in [0, 1], the probability that the depth is within a factor of 1.25 of the truth; 0 outside of
        the field of view. None where the network gives none that is calibrated. Made at the first use, which most
        frames do without."""
        return self.find_confidence()


@dataclass(frozen=True)
class Inferred:
    """Outputs of the network for a frame, before scaling to meters of this camera.

    Args:
        outputs: outputs of the backend, unchanged.
        placement: part of the frame that the network saw, and its place in the input.
    """

    outputs: Outputs
    placement: Placement
    stages_ms: dict[str, float]


class DepthEstimator:
    """The hot path, the same for the node, bags and single images. A new one with the same backend is cheap.

    Args:
        backend: a loaded engine.
        network: rules by which frames become its input, and its outputs meters.
        options: the defaults if None.

    Attributes:
        takes_camera: the camera matrix is an input of the network: without it there is no depth.
        wants_camera: without the camera matrix there is no depth, or depth that is not scaled though it should be.

    Raises:
        FastDepthError: an option that this network cannot keep: a range in meters where depth is not in meters, or the
            training camera's view where there is none.
    """

    def __init__(self, backend: Backend, network: Network, options: EstimatorOptions | None = None) -> None:
        self.backend, self.network, self.options = backend, network, options or EstimatorOptions()
        if self.options.max_depth_m and not network.metric:
            raise FastDepthError(
                f"max_depth_m is {self.options.max_depth_m:g}, but the depth of this model is not in meters",
                "set max_depth_m to 0, or bring the model to meters: fastdepth calibrate-scale",
            )
        if self.options.outside_training_view == "invalid" and network.focal_rule.name != "trained":
            raise FastDepthError(
                f"outside_training_view is invalid, but this model has no training camera (focal rule "
                f"{network.focal_rule.name})", "set outside_training_view to keep",
            )  # fmt: skip
        if self.options.min_confidence and network.confidence is None:
            raise FastDepthError(
                f"min_confidence is {self.options.min_confidence:g}, but this model gives no calibrated confidence",
                "set min_confidence to 0, or train the model's head: fastdepth train --confidence",
            )
        self._fixed_scale = fixed_focal_scale(self.options.focal_scale)
        self.takes_camera = network.takes_camera
        self.wants_camera = self.takes_camera or (self._fixed_scale is None and network.focal_rule.focal is not None)
        self._max_depth_m = self.options.max_depth_m or inf
        self._filter: TemporalFilter | None = None
        if self.options.temporal_filter:
            from fastdepth_ros.depth.temporal import TemporalFilter

            self._filter = TemporalFilter(self.options.temporal_filter)

    def __call__(
        self, frame: Frame, k: np.ndarray | None = None, stamp_ns: int | None = None, unknown: str = UNKNOWN
    ) -> DepthResult:
        """Estimate the depth of one frame.

        Args:
            k: the frame's camera matrix, 9 numbers; None is unknown.
            stamp_ns: the frame's, for the filter over time.
            unknown: reason why the camera matrix is unknown, where it is.

        Raises:
            FrameError: the frame is too small, or the network takes the camera matrix and it is unknown.
        """
        return self.measure(self.infer(frame, k, unknown), k, stamp_ns, unknown)

    def infer(self, frame: Frame, k: np.ndarray | None = None, unknown: str = UNKNOWN) -> Inferred:
        """The first half of a call: prepare the frame and run the network.

        Args:
            k, unknown: arguments as of a call; only a network that takes the camera matrix needs them here.

        Raises:
            FrameError: as of a call.
        """
        started = time.perf_counter_ns()
        view, channels = self.options.field_of_view, self.backend.channels
        placement, given = self.network.prepare(frame, view, channels, k, unknown)
        prepared = time.perf_counter_ns()
        outputs = self.backend.infer(*given)
        finished = time.perf_counter_ns()
        stages_ms = {"preprocess": (prepared - started) / 1e6, "infer": (finished - prepared) / 1e6}
        return Inferred(outputs, placement, stages_ms)

    def measure(
        self, inferred: Inferred, k: np.ndarray | None = None, stamp_ns: int | None = None, unknown: str = UNKNOWN
    ) -> DepthResult:
        """The second half: what the network said, as meters of this camera; arguments as of a call."""
        started = time.perf_counter_ns()
        placement, onto_camera = inferred.placement, self.options.output_size == "camera"
        measures = self.network.measure(inferred.outputs, placement, k, self._fixed_scale, unknown)
        depth, confidence, from_frame, scale = measures
        if self._filter is not None:
            depth[...] = self._filter(depth, (placement.crop, placement.frame_shape), stamp_ns)
        if self.options.outside_training_view == "invalid":
            _invalidate_outside(depth, scale.ratio or self._assumed_ratio(placement))
        if self.options.min_confidence and confidence is not None:
            depth[confidence < self.options.min_confidence] = np.nan
        if onto_camera:  # what is invalid is so before the resize, that no depth is a mean of one and of none
            depth = _onto_camera(depth, from_frame, placement.frame_shape)
        if self._max_depth_m < inf:  # last, for infinity cannot be interpolated
            depth[depth > self._max_depth_m] = inf
        stages_ms = {**inferred.stages_ms, "postprocess": (time.perf_counter_ns() - started) / 1e6}

        def find_confidence() -> np.ndarray | None:
            if confidence is None or not onto_camera:
                return confidence
            return np.nan_to_num(_onto_camera(confidence, from_frame, placement.frame_shape), copy=False)

        return DepthResult(
            depth, np.eye(3) if onto_camera else from_frame, stages_ms, scale.factor, scale.missing, self._max_depth_m,
            find_confidence,
        )  # fmt: skip

    def _assumed_ratio(self, placement: Placement) -> tuple[float, float]:
        """Part of the crop that the training view covers, in x and y, for a camera with the training camera's lens."""
        trained = self.network.input.place("trained", placement.frame_shape).crop
        return trained.width / placement.crop.width, trained.height / placement.crop.height


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


def _invalidate_outside(depth: np.ndarray, ratio: tuple[float, float]) -> None:
    """Make NaN, in place, what lies further from the middle of the view than the training images reached."""
    for axis, share in ((1, ratio[0]), (0, ratio[1])):
        size = depth.shape[axis]
        edge = round(size * (1 - min(share, 1.0)) / 2)
        for outside in (slice(0, edge), slice(size - edge, size)):
            depth[(slice(None), outside) if axis else outside] = np.nan


def _onto_camera(image: np.ndarray, from_frame: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """A depth or confidence on the grid of the frame, NaN where it does not reach."""
    crop, exact = covered(from_frame, image.shape)
    full = np.empty(frame_shape, np.float32)
    rows, columns = crop.slices
    for outside in (full[: rows.start], full[rows.stop :], full[rows, : columns.start], full[rows, columns.stop :]):
        outside.fill(np.nan)
    onto_image = (from_frame @ [[1, 0, crop.left], [0, 1, crop.top], [0, 0, 1]])[:2]

    def resize(image: np.ndarray, interpolation: int, target: np.ndarray | None = None) -> np.ndarray:
        size = crop.width, crop.height
        if exact:
            return cv2.resize(image, size, dst=target, interpolation=interpolation)
        flags, border = interpolation | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        return cv2.warpAffine(image, onto_image, size, dst=target, flags=flags, borderMode=border)

    sky = np.isposinf(image)
    if sky.any():  # interpolated, infinity would be NaN around it
        resize(np.where(sky, np.float32(np.nan), image), cv2.INTER_LINEAR, full[rows, columns])
        full[rows, columns][resize(sky.astype(np.uint8), cv2.INTER_NEAREST) > 0] = inf
    else:
        resize(image, cv2.INTER_LINEAR, full[rows, columns])
    return full
