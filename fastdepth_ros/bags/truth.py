"""Depth against a depth sensor's: aligned by time, registered by both camera matrices, with and without its scale."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.geometry import Crop
from fastdepth_ros.metrics.depth import depth_errors

_NO_RETURN = 65535  # what some sensors write instead of 0
_COMPRESSED_HEADER = 12  # compressedDepth: an enum and two floats before the PNG


def truth_depth(message: Any) -> np.ndarray:
    """float32 HxW metres, 0 where the sensor knows none, of an Image or compressedDepth CompressedImage.

    Raises:
        FrameError: another encoding, or too short.
    """
    if hasattr(message, "format"):
        return _metres(_compressed_millimetres(message))
    types = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
    if message.encoding not in types:
        raise FrameError(f"truth has encoding {message.encoding!r}, needs one of {', '.join(types)}")
    dtype = np.dtype(f"{'>' if message.is_bigendian else '<'}{types[message.encoding]}")
    row_bytes = message.width * dtype.itemsize
    if message.step < row_bytes or message.data.nbytes < message.step * message.height:
        raise FrameError(f"truth of {message.width}x{message.height} has only {message.data.nbytes} bytes")
    rows = message.data[: message.step * message.height].view(np.uint8).reshape(message.height, message.step)
    return _metres(np.ascontiguousarray(rows[:, :row_bytes]).view(dtype))


def _compressed_millimetres(message: Any) -> np.ndarray:
    if not message.format.startswith("16UC1") or "compressedDepth" not in message.format:
        raise FrameError(f"truth is compressed as {message.format!r}, needs 16UC1; compressedDepth")
    image = cv2.imdecode(np.frombuffer(message.data, np.uint8)[_COMPRESSED_HEADER:], cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise FrameError(f"truth of {len(message.data)} bytes is no 16-bit PNG")
    return image


def _metres(stored: np.ndarray) -> np.ndarray:
    if stored.dtype.kind == "u":
        return np.where(stored == _NO_RETURN, 0, stored).astype(np.float32) / 1000
    return np.where(np.isfinite(stored) & (stored > 0), stored, 0).astype(np.float32)


def registered(truth: np.ndarray, to_truth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The truth at the pixels of a depth image, each the nearest; 0 outside of the sensor's view.

    Args:
        truth: HxW metres.
        to_truth: 3x3 map from depth pixels to truth pixels, without rotation or skew: both cameras look along the
            same axis from the same point.
        shape: of the depth image.
    """
    columns = np.floor(to_truth[0, 0] * np.arange(shape[1]) + to_truth[0, 2] + 0.5).astype(int)
    rows = np.floor(to_truth[1, 1] * np.arange(shape[0]) + to_truth[1, 2] + 0.5).astype(int)
    height, width = truth.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(inside, truth[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))], 0)


def only_within(truth: np.ndarray, crop: Crop) -> np.ndarray:
    """The truth inside of a rectangle, 0 outside."""
    rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
    inside = np.zeros_like(truth)
    inside[rows, columns] = truth[rows, columns]
    return inside


def truth_pixels(
    from_frame: np.ndarray, frame_shape: tuple[int, int], frame_k: Any, truth_shape: tuple[int, int], truth_k: Any
) -> np.ndarray:
    """3x3 map from depth pixels to truth pixels.

    Args:
        from_frame: 3x3 map from the frame's pixels to the depth's.
        frame_k, truth_k: camera matrices (9,), None where unknown; without both, images of one size are taken to be
            of one camera.

    Raises:
        FrameError: sizes differ and a matrix is missing.
    """
    if frame_k is not None and truth_k is not None:
        between = np.reshape(truth_k, (3, 3)) @ np.linalg.inv(np.reshape(frame_k, (3, 3)))
    elif frame_shape == truth_shape:
        between = np.eye(3)
    else:
        raise FrameError(
            f"truth is {truth_shape[1]}x{truth_shape[0]}, frame {frame_shape[1]}x{frame_shape[0]}: registering "
            "them needs the camera_info of both"
        )
    return between @ np.linalg.inv(from_frame)


def truth_errors(depth: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Errors of one depth image as it is, and after its median is brought to the truth's.

    Args:
        depth: HxW metres; NaN counts as 0, as `fastdepth evaluate` takes what the network does not know.
        truth: HxW metres on the same grid, 0 unknown.

    Raises:
        FrameError: no pixel of the truth is known.
    """
    known = truth > 0
    if not known.any():
        raise FrameError("truth is known nowhere in the field of view")
    depth = np.nan_to_num(depth, nan=0.0)
    typical = float(np.median(depth[known]))
    scale = float(np.median(truth[known])) / typical if typical > 0 else 1.0
    return {
        "pixels": int(np.count_nonzero(known)),
        "errors": depth_errors(depth, truth),
        "scale": scale,
        "errors_scale_aligned": depth_errors(depth * scale, truth),
    }
