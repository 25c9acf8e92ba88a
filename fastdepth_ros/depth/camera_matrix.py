"""The camera matrix that holds for an image, of a camera_info of either ROS."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np


def matrix_of(info: Any | None, *, rectified: bool = False) -> np.ndarray | None:
    """K (9,), of a rectified image the left part of P; None where there is no camera_info or it is not calibrated.

    Args:
        info: a sensor_msgs/CameraInfo; ROS 1 writes its fields in capitals.
    """
    if info is None:
        return None
    if rectified:
        p = _field(info, "p")
        matrix = (*p[0:3], *p[4:7], *p[8:11])
        if _calibrated(matrix):
            return np.array(matrix, float)
    k = _field(info, "k")
    return np.array(k, float) if _calibrated(k) else None


def is_rectified(image_topic: str) -> bool:
    """Whether an image topic's name says that lens distortion is taken out, as image_proc's `image_rect` does."""
    name = image_topic.removesuffix("/compressed").rpartition("/")[2]
    return "rect" in name and "unrect" not in name


def is_distorted(info: Any) -> bool:
    """Whether a camera_info says that its lens distorts the images that are not rectified."""
    return any(_field(info, "d"))


def _field(info: Any, name: str) -> Any:
    return getattr(info, name if hasattr(info, "k") else name.upper())


def _calibrated(matrix: Sequence[float]) -> bool:
    return all(map(isfinite, matrix)) and min(matrix[0], matrix[4], matrix[8]) > 0
