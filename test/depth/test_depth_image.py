"""Depth images of messages: meters, and 0 where the sensor knows none."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fastdepth_ros.depth.depth_image import compressed_depth, meters_of
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.options import DEPTH_ENCODINGS


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


def as_the_plugin_reads(format_name: str, data: bytes) -> np.ndarray:
    """float HxW meters, NaN where invalid, by the definition of image_transport's plugin compressedDepth."""
    encoding, _, compression = format_name.partition("; ")
    assert compression == "compressedDepth png"
    kind, a, b = np.frombuffer(data[:4], "<i4")[0], *np.frombuffer(data[4:12], "<f4")
    assert kind == 0
    picture = cv2.imdecode(np.frombuffer(data[12:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    if encoding == "16UC1":
        assert a == b == 0
        return np.where(picture == 0, np.nan, picture / 1000)
    meters = np.full(picture.shape, np.nan)
    for place, value in np.ndenumerate(picture):
        if value:
            meters[place] = a / (np.float32(value) - b)
    return meters


def test_compressed_depth_reads_back_by_the_plugins_definition_and_by_ours():
    depth = np.array([[0.16, 0.5, 1.2344, 9.99], [20.0, 65.5, np.nan, np.inf]], np.float32)
    valid = np.isfinite(depth)
    for encoding in ("32FC1", "16UC1"):
        kind, data = f"{encoding}; compressedDepth png", compressed_depth(DEPTH_ENCODINGS[encoding].encode(depth))
        step_m = depth[valid] ** 2 / 10100 if encoding == "32FC1" else 0.001
        read = as_the_plugin_reads(kind, data)
        assert (np.isfinite(read) == valid).all()  # NaN and +inf are both invalid
        assert (np.abs(read[valid] - depth[valid]) <= step_m / 2 + 1e-4).all()
        ours = meters_of(SimpleNamespace(format=kind, data=np.frombuffer(data, np.uint8)))
        np.testing.assert_allclose(ours, np.nan_to_num(read), rtol=1e-5)


@pytest.mark.parametrize("depth", [np.full((2, 3), np.nan), np.full((2, 3), np.inf), np.full((2, 3), 1e-6)])
def test_compressed_depth_of_no_or_very_near_depth_is_read_too(depth):
    read = as_the_plugin_reads("32FC1; compressedDepth png", compressed_depth(depth.astype(np.float32)))
    assert (np.isnan(read) == ~np.isfinite(depth)).all() and not (read > 0.2).any()


def test_depth_is_encoded_as_meters_or_as_millimeters_that_read_back():
    depth = np.array([[0.5, 1.2344, np.nan], [np.inf, 65.534, 65.6]], np.float32)
    assert DEPTH_ENCODINGS["32FC1"].encode(depth) is depth
    millimeters = DEPTH_ENCODINGS["16UC1"].encode(depth)
    assert millimeters.dtype == np.uint16
    np.testing.assert_array_equal(millimeters, [[500, 1234, 0], [0, 65534, 0]])
    np.testing.assert_allclose(meters_of(message(millimeters, "16UC1")), [[0.5, 1.234, 0], [0, 65.534, 0]], rtol=1e-6)
