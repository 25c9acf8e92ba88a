"""Image encodings: bytes as ROS messages hold them to a Frame, without a copy where the encoding allows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.announced import check_announced, check_size
from fastdepth_ros.depth.frame import Frame, FrameError


class UnknownEncodingError(FrameError):
    """An encoding that is not in our table."""


@dataclass(frozen=True)
class RawImage:
    """The fields of a sensor_msgs/Image; `data` is anything with the buffer protocol."""

    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: bool
    data: Any


_PACKED = {  # encoding -> channel order, bytes per channel
    "rgb8": ("rgb", 1), "bgr8": ("bgr", 1), "rgba8": ("rgba", 1), "bgra8": ("bgra", 1), "mono8": ("mono", 1),
    "rgb16": ("rgb", 2), "bgr16": ("bgr", 2), "rgba16": ("rgba", 2), "bgra16": ("bgra", 2), "mono16": ("mono", 2),
    "8UC1": ("mono", 1), "8UC3": ("bgr", 1), "8UC4": ("bgra", 1),
    "16UC1": ("mono", 2), "16UC3": ("bgr", 2), "16UC4": ("bgra", 2),
}  # fmt: skip
_ORDER_CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "mono": 1}
_BAYER = {  # ROS names the first row's first two pixels, OpenCV those of the second row and column
    "bayer_rggb": cv2.COLOR_BayerBG2RGB, "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB, "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}  # fmt: skip
_YUV422 = {
    "uyvy": cv2.COLOR_YUV2RGB_UYVY, "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2, "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
}  # fmt: skip
_YUV420 = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}


def encoding_names() -> list[str]:
    return sorted([*_PACKED, *(f"{name}{bits}" for name in _BAYER for bits in (8, 16)), *_YUV422, *_YUV420])


def decode_raw(image: RawImage) -> Frame:
    """A frame from an uncompressed image.

    16-bit encodings keep their high byte. Packed 8-bit encodings are viewed, not copied.

    Raises:
        UnknownEncodingError: not one of `encoding_names()`.
        FrameError: empty, of more pixels than any camera has, `step` too small, or `data` shorter than
            `step * height`.
    """
    decode = _decoder(image.encoding)
    if image.height < 1 or image.width < 1:
        raise FrameError(f"image is empty: {image.width}x{image.height}")
    check_size(image.width, image.height, "image")
    return decode(image)


def decode_compressed(data: Any, *, format_name: str = "", upright: bool = False) -> Frame:
    """A frame from a JPEG, PNG, BMP or WebP (sensor_msgs/CompressedImage).

    Args:
        upright: turn it as its EXIF says, as for a photograph; a camera's matrix holds in the sensor's orientation.

    Raises:
        FrameError: corrupt, cut short, of more pixels than any camera has, or a depth image.
    """
    if "compressedDepth" in format_name:
        raise FrameError(f"compressed image of format {format_name!r} holds depth, not colour")
    encoded = bytes(data)
    if not encoded:
        raise FrameError("compressed image is empty")
    check_announced(encoded)
    is_jpeg = encoded.startswith(b"\xff\xd8")
    if is_jpeg and b"\xff\xd9" not in encoded.rstrip(b"\0")[-1024:]:  # else OpenCV paints the rest grey
        raise FrameError(f"JPEG of {len(encoded)} bytes is cut short: it has no end marker")
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:
        raise FrameError(f"compressed image cannot be decoded: {error}") from error
    if bgr is None:
        raise FrameError(f"compressed image ({format_name!r}, {len(encoded)} bytes) is corrupt")
    return Frame(bgr, "bgr")


def _decoder(encoding: str) -> Callable[[RawImage], Frame]:
    if encoding in _PACKED:
        return _packed
    if encoding[:-1] in _BAYER and encoding.endswith("8") or encoding[:-2] in _BAYER and encoding.endswith("16"):
        return _bayer
    if encoding in _YUV422:
        return _yuv422
    if encoding in _YUV420:
        return _yuv420
    raise UnknownEncodingError(f"unknown encoding {encoding!r}, there is {', '.join(encoding_names())}")


def _packed(image: RawImage) -> Frame:
    order, depth_bytes = _PACKED[image.encoding]
    channels = _ORDER_CHANNELS[order]
    pixels = _high_bytes(image, channels, depth_bytes)
    return Frame(pixels[..., 0] if channels == 1 else pixels, order)


def _bayer(image: RawImage) -> Frame:
    name, depth_bytes = (image.encoding[:-1], 1) if image.encoding.endswith("8") else (image.encoding[:-2], 2)
    return Frame(cv2.cvtColor(_high_bytes(image, 1, depth_bytes), _BAYER[name]))


def _yuv422(image: RawImage) -> Frame:
    if image.width % 2:
        raise FrameError(f"{image.encoding} needs an even width, got {image.width}")
    return Frame(cv2.cvtColor(_high_bytes(image, 2, 1), _YUV422[image.encoding]))


def _yuv420(image: RawImage) -> Frame:
    if image.width % 2 or image.height % 2:
        raise FrameError(f"{image.encoding} needs an even width and height, got {image.width}x{image.height}")
    planes = _rows(image, image.height * 3 // 2, image.width)  # luma, then half as many rows of interleaved chroma
    return Frame(cv2.cvtColor(np.ascontiguousarray(planes), _YUV420[image.encoding]))


def _high_bytes(image: RawImage, channels: int, depth_bytes: int) -> np.ndarray:
    """uint8 (height, width, channels): all of an 8-bit image, the high bytes of a 16-bit one."""
    row_bytes = image.width * channels * depth_bytes
    pixels = _rows(image, image.height, row_bytes).reshape(image.height, image.width, channels, depth_bytes)
    if depth_bytes == 1:
        return pixels[..., 0]
    return np.ascontiguousarray(pixels[..., 0 if image.is_bigendian else 1])


def _rows(image: RawImage, rows: int, row_bytes: int) -> np.ndarray:
    """uint8 (rows, row_bytes), a view that leaves the padding of each row out."""
    if image.step < row_bytes:
        raise FrameError(f"step is {image.step} bytes, {image.width} pixels of {image.encoding} need {row_bytes}")
    data = np.frombuffer(image.data, np.uint8) if len(image.data) else np.empty(0, np.uint8)
    if data.size < image.step * rows:
        raise FrameError(f"data has {data.size} bytes, {rows} rows of step {image.step} need {image.step * rows}")
    return data[: image.step * rows].reshape(rows, image.step)[:, :row_bytes]
