"""Depth images as ROS messages hold them, to metres."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdepth_ros.depth.frame import FrameError

_TYPES = {"32FC1": "f4", "16UC1": "u2"}


def metres_of(message: Any) -> np.ndarray:
    """float32 HxW metres of a 32FC1 or 16UC1 sensor_msgs/Image (REP 118); 0 and NaN are invalid.

    Raises:
        FrameError: another encoding, empty, or `data` shorter than `step * height`.
    """
    if message.encoding not in _TYPES:
        raise FrameError(f"a depth image is {' or '.join(_TYPES)}, not {message.encoding!r}")
    dtype = np.dtype((">" if message.is_bigendian else "<") + _TYPES[message.encoding])
    height, width, step = message.height, message.width, message.step
    if not height or step < width * dtype.itemsize or len(message.data) < step * height:
        raise FrameError(f"depth image of {width}x{height}, step {step}, has {len(message.data)} bytes of data")
    rows = np.frombuffer(message.data, np.uint8)[: step * height].reshape(height, step)
    values = np.ascontiguousarray(rows[:, : width * dtype.itemsize]).view(dtype).astype(np.float32)
    return values / 1000 if message.encoding == "16UC1" else values
