"""Settings of the hot path. Knows no OpenCV, so that the help of a verb does not load it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from fastdepth_ros.depth.geometry import AUTO, FIELDS_OF_VIEW, fixed_focal_scale
from fastdepth_ros.errors import FastDepthError

OUTPUTS = ("network", "camera")
OUTSIDE = ("keep", "invalid")
OFF_DEG = 90  # of max_slant_deg
NO_RETURN = 65535  # millimeters that some sensors write instead of 0


def millimeters(depth: np.ndarray) -> np.ndarray:
    """uint16 millimeters, 0 where invalid, beyond range or over 65.534 m.

    Args:
        depth: float32 HxW meters, NaN invalid, +inf beyond range.
    """
    rounded = np.rint(depth * 1000)
    return np.where(rounded < NO_RETURN, rounded, 0).astype(np.uint16)


@dataclass(frozen=True)
class DepthEncoding:
    """One encoding of depth images (REP 118).

    Args:
        topic: name of the topic below depth/.
        encode: makes the message's pixels of float32 HxW meters.
    """

    topic: str
    encode: Callable[[np.ndarray], np.ndarray]


DEPTH_ENCODINGS = {"32FC1": DepthEncoding("image", np.asarray), "16UC1": DepthEncoding("image_raw", millimeters)}


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
        min_confidence: confidence below which depth is NaN; 0 is off.

    Raises:
        FastDepthError: a value that is not allowed.
    """

    field_of_view: str = "trained"
    output_size: str = "network"
    focal_scale: str | float = AUTO
    max_depth_m: float = 0.0
    outside_training_view: str = "keep"
    temporal_filter: float = 0.0
    min_confidence: float = 0.0

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
        if not 0 <= self.min_confidence <= 1:
            raise FastDepthError(f"min_confidence is {self.min_confidence}, it must be 0 (off) to 1")


@dataclass(frozen=True)
class PointsOptions:
    """Settings of a point cloud: the node's parameters `points_*`.

    Args:
        stride: side of the square of depth pixels that gives one point, at its center.
        max_m: range in meters along the optical axis; 0 is no limit.
        min_confidence: pixels below it give no point; 0 is off.
        max_slant_deg: largest angle between the surface and a plane that faces the camera; a pixel on a steeper one
            belongs to a depth edge, where it flies between two surfaces. 90 is off.
        min_cluster: smallest number of neighboring points of similar depth; 0 is off.
        organized: keep rows and columns, NaN where there is no point.

    Raises:
        FastDepthError: a value that is not allowed.
    """

    stride: int = 2
    max_m: float = 0.0
    min_confidence: float = 0.0
    max_slant_deg: float = 80.0
    min_cluster: int = 20
    organized: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("stride", 1, inf), ("max_m", 0, inf), ("min_confidence", 0, 1), ("max_slant_deg", 1, OFF_DEG),
            ("min_cluster", 0, inf),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise FastDepthError(f"{name} of points is {getattr(self, name)}, it can be {low} to {high}")
