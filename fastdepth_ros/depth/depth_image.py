"""Depth images as ROS messages hold them, from and to meters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.image_header import check_header
from fastdepth_ros.errors import FrameError

_TYPES = {"32FC1": "f4", "16UC1": "u2", "mono16": "u2"}
_NO_RETURN = 65535  # what some sensors write instead of 0


def meters_of(message: Any) -> np.ndarray:
    """float32 HxW meters, 0 where unknown, +inf beyond range (REP 117), of a sensor_msgs/Image (32FC1 meters, 16UC1
    millimeters: REP 118) or a CompressedImage (either one; compressedDepth).

    Raises:
        FrameError: another encoding, empty, or cut short.
    """
    values = _compressed_values(message) if hasattr(message, "format") else _values(message)
    if values.dtype.kind == "u":
        return np.where(values == _NO_RETURN, 0, values).astype(np.float32) / 1000
    return np.where(values > 0, values, 0).astype(np.float32)


def millimeters(depth: np.ndarray) -> np.ndarray:
    """uint16 millimeters, 0 where invalid, beyond range or over 65.534 m.

    Args:
        depth: float32 HxW meters, NaN invalid, +inf beyond range.
    """
    rounded = np.rint(depth * 1000)
    return np.where(rounded < _NO_RETURN, rounded, 0).astype(np.uint16)


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


def _values(message: Any) -> np.ndarray:
    if message.encoding not in _TYPES:
        raise FrameError(f"a depth image is {' or '.join(_TYPES)}, not {message.encoding!r}")
    dtype = np.dtype((">" if message.is_bigendian else "<") + _TYPES[message.encoding])
    height, width, step = message.height, message.width, message.step
    if not height or not width or step < width * dtype.itemsize or len(message.data) < step * height:
        raise FrameError(f"depth image of {width}x{height}, step {step}, has {len(message.data)} bytes of data")
    rows = np.frombuffer(message.data, np.uint8)[: step * height].reshape(height, step)
    return np.ascontiguousarray(rows[:, : width * dtype.itemsize]).view(dtype)


def _compressed_values(message: Any) -> np.ndarray:
    if not message.format.startswith(("16UC1", "32FC1")) or "compressedDepth" not in message.format:
        raise FrameError(f"a compressed depth image is 16UC1 or 32FC1; compressedDepth, not {message.format!r}")
    from fastdepth_ros.depth.compressed_depth import HEADER, meters_of_inverse  # a robot's depth is rarely compressed

    png = bytes(message.data[HEADER.size :])
    try:
        check_header(png)
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except (FrameError, cv2.error) as error:
        raise FrameError(f"compressed depth image cannot be decoded: {error}") from error
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise FrameError(f"compressed depth image of {len(message.data)} bytes holds no 16-bit PNG")
    if message.format.startswith("32FC1"):
        return meters_of_inverse(bytes(message.data[: HEADER.size]), image)
    return image
