"""Depth images of ROS messages, read as meters, and those of image_transport's plugin compressedDepth: a header of 12
bytes, then a PNG."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.compressed_image import check_header
from fastdepth_ros.depth.options import NO_RETURN
from fastdepth_ros.errors import FrameError

_TYPES = {"32FC1": "f4", "16UC1": "u2", "mono16": "u2"}
HEADER = struct.Struct("<iff")  # kind of compression, and the A and B of inverse depth
INVERSE_DEPTH = 0
_A = 100.0 * 101.0  # the plugin's default: at 100 m neighbors differ by 1 m, at 10 m by 1 cm, at 1 m by 0.1 mm
_LARGEST = 65535


def meters_of(message: Any) -> np.ndarray:
    """float32 HxW meters, 0 where unknown, +inf beyond range (REP 117), of a sensor_msgs/Image (32FC1 meters, 16UC1
    millimeters: REP 118) or a CompressedImage (either one; compressedDepth).

    Raises:
        FrameError: another encoding, empty, or cut short.
    """
    values = _compressed_values(message) if hasattr(message, "format") else _values(message)
    if values.dtype.kind == "u":
        return np.where(values == NO_RETURN, 0, values).astype(np.float32) / 1000
    return np.where(values > 0, values, 0).astype(np.float32)


def compressed_depth(pixels: np.ndarray) -> bytes:
    """Field `data` of a CompressedImage of format "32FC1; compressedDepth png" or "16UC1; compressedDepth png".

    Meters d become the whole number A / d + B, from 1 for the farthest pixel; 0 is invalid: NaN and +inf alike. Depth
    nearer than 0.15 m reads back as 0.15 m. Millimeters are kept as they are, with an A and a B of 0.

    Args:
        pixels: float32 HxW meters, or uint16 HxW millimeters.
    """
    a = b = 0.0
    if pixels.dtype != np.uint16:
        known = (pixels > 0) & (pixels < np.inf)
        a, b = _A, 1 - _A / float(pixels.max(where=known, initial=1e-3))
        inverse = np.divide(a, pixels, out=np.zeros(pixels.shape), where=known)
        pixels = np.where(known, np.clip(np.rint(inverse + b), 1, _LARGEST), 0).astype(np.uint16)
    # A compression level, even the lowest, makes OpenCV's encoder take several times as long as none.
    return HEADER.pack(INVERSE_DEPTH, a, b) + cv2.imencode(".png", pixels)[1].tobytes()


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
    png = bytes(message.data[HEADER.size :])
    try:
        check_header(png)
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except (FrameError, cv2.error) as error:
        raise FrameError(f"compressed depth image cannot be decoded: {error}") from error
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise FrameError(f"compressed depth image of {len(message.data)} bytes holds no 16-bit PNG")
    if message.format.startswith("32FC1"):
        return _meters_of_inverse(bytes(message.data[: HEADER.size]), image)
    return image


def _meters_of_inverse(header: bytes, inverse: np.ndarray) -> np.ndarray:
    """float32 HxW meters, NaN where invalid, of the header and the uint16 HxW picture of a 32FC1 image."""
    _, a, b = HEADER.unpack(header)
    return np.divide(a, inverse - b, out=np.full(inverse.shape, np.nan), where=inverse > 0).astype(np.float32)
