"""The camera matrix that holds for an image, of a camera_info of either ROS."""

from __future__ import annotations

from typing import Any

import numpy as np


def matrix_of(info: Any | None, *, rectified: bool = False) -> np.ndarray | None:
    """K (9,), of a rectified image the left part of P; None where there is no camera_info or it is not calibrated.

    Args:
        info: a sensor_msgs/CameraInfo; ROS 1 writes its fields in capitals.
    """
    if info is None:
        return None
    k = np.asarray(_field(info, "k"), float)
    p = np.asarray(_field(info, "p"), float).reshape(3, 4)[:, :3].ravel()
    matrix = p if rectified and _calibrated(p) else k
    return matrix if _calibrated(matrix) else None


def is_rectified(image_topic: str) -> bool:
    """Whether an image topic's name says that lens distortion is taken out, as image_proc's `image_rect` does."""
    name = image_topic.removesuffix("/compressed").rpartition("/")[2]
    return "rect" in name and "unrect" not in name


def is_distorted(info: Any) -> bool:
    """Whether a camera_info says that its lens distorts the images that are not rectified."""
    return bool(np.any(_field(info, "d")))


def _field(info: Any, name: str) -> Any:
    return getattr(info, name if hasattr(info, "k") else name.upper())


def _calibrated(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and matrix[0] > 0 and matrix[4] > 0)
