"""Depth images of messages: meters, and 0 where the sensor knows none."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fastdepth_ros.depth.depth_image import DEPTH_ENCODINGS, meters_of
from fastdepth_ros.depth.frame import FrameError


def message(pixels: np.ndarray, encoding: str, *, padding: int = 0, bigendian: bool = False) -> SimpleNamespace:
    """Message as rosbags reads a sensor_msgs/Image."""
    rows = np.frombuffer(pixels.astype(pixels.dtype.newbyteorder(">" if bigendian else "<")).tobytes(), np.uint8)
    padded = np.pad(rows.reshape(len(pixels), -1), ((0, 0), (0, padding)))
    height, width = pixels.shape
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=padded.shape[1], is_bigendian=bigendian,
        data=padded.reshape(-1),
    )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("bigendian", [False, True])
def test_depth_is_meters_zero_where_unknown_and_infinite_beyond_range(padding, bigendian):
    millimeters = np.array([[0, 1500], [65535, 4321]], np.uint16)
    expected = np.array([[0, 1.5], [0, 4.321]], np.float32)
    np.testing.assert_allclose(meters_of(message(millimeters, "16UC1", padding=padding, bigendian=bigendian)), expected)
    meters = np.array([[np.nan, 1.5], [np.inf, 4.321]], np.float32)
    expected[1, 0] = np.inf
    np.testing.assert_allclose(meters_of(message(meters, "32FC1", padding=padding, bigendian=bigendian)), expected)


def test_compressed_depth_is_read_and_what_is_no_depth_is_refused():
    millimeters = np.arange(48, dtype=np.uint16).reshape(6, 8) * 100
    png = cv2.imencode(".png", millimeters)[1].reshape(-1)
    compressed = SimpleNamespace(
        format="16UC1; compressedDepth png", data=np.concatenate([np.zeros(12, np.uint8), png])
    )
    np.testing.assert_allclose(meters_of(compressed), millimeters / 1000)
    for wrong in (
        SimpleNamespace(format="bgr8; jpeg compressed bgr8", data=png),
        SimpleNamespace(format="16UC1; compressedDepth png", data=png[:30]),
        message(np.zeros((2, 2), np.uint8), "mono8"),
        SimpleNamespace(format="16UC1; compressedDepth png", data=png[:0]),
        SimpleNamespace(**{**vars(message(millimeters, "16UC1")), "height": 7}),
        SimpleNamespace(**{**vars(message(millimeters, "16UC1")), "width": 0}),
    ):
        with pytest.raises(FrameError, match="depth image"):
            meters_of(wrong)


def test_depth_is_encoded_as_meters_or_as_millimeters_that_read_back():
    depth = np.array([[0.5, 1.2344, np.nan], [np.inf, 65.534, 65.6]], np.float32)
    assert DEPTH_ENCODINGS["32FC1"].encode(depth) is depth
    millimeters = DEPTH_ENCODINGS["16UC1"].encode(depth)
    assert millimeters.dtype == np.uint16
    np.testing.assert_array_equal(millimeters, [[500, 1234, 0], [0, 65534, 0]])
    np.testing.assert_allclose(meters_of(message(millimeters, "16UC1")), [[0.5, 1.234, 0], [0, 65.534, 0]], rtol=1e-6)
