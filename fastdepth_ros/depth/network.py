"""Network as the hot path sees it: how a frame becomes its input, and how its outputs become meters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import NamedTuple

import cv2
import numpy as np

from fastdepth_ros.backends import Outputs
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import (
    DEPTH,
    INTERPOLATIONS,
    INVERSE_DEPTH,
    Focal,
    Placement,
    camera_scale,
    place,
)
from fastdepth_ros.errors import FastDepthError, FrameError

_INTERPOLATIONS = dict(zip(INTERPOLATIONS, (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC)))
LENS_IGNORED = "the model's focal rule is none, its scale does not follow the lens"
_CONVERSIONS = {
    "bgr": {"rgb": cv2.COLOR_BGR2RGB},
    "rgb": {"bgr": cv2.COLOR_RGB2BGR},
    "rgba": {"rgb": cv2.COLOR_RGBA2RGB, "bgr": cv2.COLOR_RGBA2BGR},
    "bgra": {"rgb": cv2.COLOR_BGRA2RGB, "bgr": cv2.COLOR_BGRA2BGR},
    "mono": {"rgb": cv2.COLOR_GRAY2RGB, "bgr": cv2.COLOR_GRAY2BGR},
}


@dataclass(frozen=True)
class NetworkInput:
    """Network input, and how a frame becomes it.

    Args:
        height_px, width_px: its size.
        fit: way in which the field of view gets that shape: one of FITS, see `place`.
        interpolation: interpolation of the resize, one of INTERPOLATIONS.
        view: the view that the network was trained on, one of VIEWS.
        padding: red, green and blue of the border of `pad`.
    """

    height_px: int = 224
    width_px: int = 224
    fit: str = "stretch"
    interpolation: str = "linear"
    view: str = "authors"
    padding: tuple[int, int, int] = (0, 0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height_px, self.width_px

    def place(self, field_of_view: str, frame_shape: tuple[int, int]) -> Placement:
        """Place of a frame (height, width) in the input.

        Args:
            field_of_view: "trained" or "full".

        Raises:
            FrameError: the frame is too small.
        """
        return _placed("full" if self.view == "frame" else field_of_view, frame_shape, self.shape, self.fit)

    def pixels(self, frame: Frame, placement: Placement, channels: str = "rgb") -> np.ndarray:
        """Network input of a frame: crop, the only resize, the border, then the channel order.

        Args:
            frame: any size, any channel order.
            channels: order of the network input, "rgb" or "bgr"; a frame of that order is not converted.

        Returns:
            uint8 (height, width, 3).
        """
        crop, inner = placement.crop, placement.inner
        view = frame.pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        small = cv2.resize(view, (inner.width, inner.height), interpolation=_INTERPOLATIONS[self.interpolation])
        if frame.order != channels:
            small = cv2.cvtColor(small, _CONVERSIONS[frame.order][channels])
        if (inner.height, inner.width) == self.shape:
            return small
        padded = np.empty((*self.shape, 3), np.uint8)
        padded[:] = self.padding if channels == "rgb" else self.padding[::-1]
        padded[inner.slices] = small
        return padded


@dataclass(frozen=True)
class Scale:
    """Factor on a network's depth.

    Args:
        factor: the factor.
        missing: reason why it is not that of the camera though it should be, "" if it is.
        ratio: focal lengths of camera over training camera, along x and y; None if unknown.
    """

    factor: float
    missing: str = ""
    ratio: tuple[float, float] | None = None


@dataclass(frozen=True)
class FocalRule:
    """Rule by which the depth of a network follows the focal length of the camera.

    Args:
        name: "trained" (one training camera: meters x f / its f), "canonical" (the same with a constant of the network;
            f is the mean of both axes), "input" (the camera matrix is an input of the network) or "none".
        focal: focal lengths at the network input, pixels: of the training camera, or the constant twice.
    """

    name: str = "none"
    focal: Focal | None = None

    def scale(self, k: np.ndarray | None, onto_input: np.ndarray, unknown: str) -> Scale:
        """The factor for a camera.

        Args:
            k: camera matrix of the frame, 9 numbers; None if unknown.
            onto_input: 3x3 map from frame pixels to network input pixels.
            unknown: reason why the camera is unknown.
        """
        if self.name == "input":
            return Scale(1.0)
        if self.focal is None:
            return Scale(1.0, LENS_IGNORED)
        if k is None:
            return Scale(1.0, unknown)
        fx, fy = float(k[0]) * float(onto_input[0, 0]), float(k[4]) * float(onto_input[1, 1])
        return _scaled(Focal(fx, fy), self.focal, self.name == "canonical")


# Frames of one camera need these only once.
_placed = lru_cache(maxsize=8)(place)


@lru_cache(maxsize=8)
def _view(
    placement: Placement, input_shape: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[slice, slice] | None, np.ndarray]:
    """Part of outputs of a shape that shows the frame, None if all of it does, and the 3x3 map onto that part."""
    (rows, columns), (height, width), inner = shape, input_shape, placement.inner
    y, x = rows / height, columns / width
    top, left = -(-inner.top * rows // height), -(-inner.left * columns // width)  # only pixels of the view alone
    bottom, right = (inner.top + inner.height) * rows // height, (inner.left + inner.width) * columns // width
    onto_output = np.array([[x, 0, (x - 1) / 2 - left], [0, y, (y - 1) / 2 - top], [0, 0, 1.0]])
    from_frame = onto_output @ placement.onto_input
    from_frame.setflags(write=False)  # kept for the next frames
    whole = (bottom - top, right - left) == (rows, columns)
    return None if whole else (slice(top, bottom), slice(left, right)), from_frame


@lru_cache(maxsize=8)
def _scaled(focal: Focal, trained: Focal, canonical: bool) -> Scale:
    ratio, factor, missing = camera_scale(focal, trained, canonical=canonical)
    return Scale(factor, missing, ratio)


class Measures(NamedTuple):
    """Depth of one frame on the network's grid.

    Args:
        depth: float32 meters, NaN invalid, +inf beyond range.
        confidence: float32 in [0, 1] on the same grid; None where the network gives none that is calibrated.
        from_frame: 3x3 map from frame pixels to those of the grid.
        scale: factor on the network's depth.
    """

    depth: np.ndarray
    confidence: np.ndarray | None
    from_frame: np.ndarray
    scale: Scale


@dataclass(frozen=True)
class Network:
    """Network as the estimator knows it; the manifest says it.

    Args:
        kind: DEPTH: meters. INVERSE_DEPTH: depth is 1 / (scale / output + shift), +inf where that is not above 0.
        metric: whether depth is in meters; False for relative depth that no scale and shift brought to meters.
        near, far: valid range of the depth before the focal scale. Nearer is NaN, further +inf.
        sky: whether +inf of the network is an answer; else it is NaN, as an engine's overflow is.
        confidence: the network's confidence and the probability that it stands for, two rising lists of one length;
            None where the network gives none or it is not calibrated.
    """

    input: NetworkInput = NetworkInput()
    focal_rule: FocalRule = FocalRule()
    kind: str = DEPTH
    scale: float = 1.0
    shift: float = 0.0
    metric: bool = True
    near: float = 0.0
    far: float = inf
    sky: bool = False
    confidence: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def takes_camera(self) -> bool:
        return self.focal_rule.name == "input"

    def prepare(
        self, frame: Frame, field_of_view: str, channels: str, k: np.ndarray | None, unknown: str
    ) -> tuple[Placement, tuple[np.ndarray, ...]]:
        """Place of a frame in the input, and what `Backend.infer` takes: pixels and, where `takes_camera`, the camera
        matrix at the input, float32 (3, 3).

        Args:
            k: camera matrix of the frame, 9 numbers; None if unknown.
            unknown: reason why it is unknown.

        Raises:
            FrameError: the frame is too small, or the network takes the camera and it is unknown.
        """
        placement = self.input.place(field_of_view, frame.pixels.shape[:2])
        if self.takes_camera and k is None:
            raise FrameError(f"the model takes the camera matrix as an input, and {unknown}")
        return placement, (self.input.pixels(frame, placement, channels), *self.camera(k, placement))

    def camera(self, k: np.ndarray | None, placement: Placement) -> tuple[np.ndarray, ...]:
        """The known camera's matrix at the network input, float32 (3, 3), if the network takes it; else nothing."""
        if not self.takes_camera or k is None:
            return ()
        return ((placement.onto_input @ np.reshape(k, (3, 3))).astype(np.float32),)

    def measure(
        self, outputs: Outputs, placement: Placement, k: np.ndarray | None, fixed: float | None, unknown: str
    ) -> Measures:
        """Meters of a camera from what the network said.

        Args:
            k, unknown: arguments as of `prepare`.
            fixed: focal scale in place of the camera's.
        """
        scale = self.focal_rule.scale(k, placement.onto_input, unknown)
        if fixed is not None:
            scale = Scale(fixed, "", scale.ratio)
        outputs, from_frame = self.on_view(outputs, placement)
        return Measures(
            self.meters(outputs.depth, scale.factor), self.probability(outputs.confidence), from_frame, scale
        )

    def on_view(self, outputs: Outputs, placement: Placement) -> tuple[Outputs, np.ndarray]:
        """Outputs without the padded border, and the 3x3 map from frame pixels to theirs."""
        view, from_frame = _view(placement, self.input.shape, outputs.depth.shape)
        if view is not None:
            confidence = outputs.confidence
            outputs = Outputs(outputs.depth[view], None if confidence is None else confidence[view])
        return outputs, from_frame

    def meters(self, output: np.ndarray, factor: float) -> np.ndarray:
        """Depth times the focal scale, float32: NaN where the network has no answer (0, as of a ReLU, or below), +inf
        beyond its range.

        Args:
            output: the network's depth, float32.
        """
        if self.kind == INVERSE_DEPTH:
            output = self._from_inverse(output)
        meters = output * np.float32(factor)
        near, far, sky = self.near * factor, self.far * factor, self.sky or self.kind == INVERSE_DEPTH
        low, high = meters.min(), meters.max()
        if low > 0 and low >= near and high < inf and high <= far:  # two numbers are cheaper than a mask
            return meters
        known = (meters > 0) & (meters >= near) & ((meters < inf) | sky)
        meters[meters > far] = inf
        meters[~known] = np.nan
        return meters

    def probability(self, confidence: np.ndarray | None) -> np.ndarray | None:
        """Calibrated confidence in [0, 1], float32; None where there is none."""
        if confidence is None or self.confidence is None:
            return None
        said, meant = self.confidence
        if said == meant == (0.0, 1.0):
            return confidence
        return np.interp(confidence, said, meant).astype(np.float32)

    def _from_inverse(self, output: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 is infinitely far, NaN stays NaN
            inverse = np.float32(self.scale) / output + np.float32(self.shift)
            return np.where(inverse <= 0, np.float32(inf), 1 / inverse)


def require_metric(network: Network) -> None:
    """Raises FastDepthError for points of a network whose depth is not in meters."""
    if not network.metric:
        raise FastDepthError(
            "points are asked for, but the depth of this model is not in meters",
            "leave the points out, or bring the model to meters: fastdepth calibrate-scale",
        )
