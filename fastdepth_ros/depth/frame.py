"""Frames: pixels of camera images, decoded from what a sensor_msgs/Image or CompressedImage holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.errors import FastDepthError, FrameError

CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "mono": 1}
BLANK_LEVELS = 2.0  # standard deviation: noise of a covered sensor is less, a dim room is more
NO_PICTURE = "of a single color, whose depth is meaningless"
BLANK_ROWS = 60  # of any frame, and as densely along them, are enough
SAMPLE_BITS = 16
MAX_PIXELS = 1 << 25  # 8K video has 33.2 million, this is 33.5
SETTLED_FRAMES = 30  # after which a rise of the bits is reported
_BIT_STEPS = (8, 10, 12, 14, SAMPLE_BITS)  # bits that sensors have


@dataclass(frozen=True)
class Frame:
    """Pixels of one camera image.

    Args:
        pixels: uint8, HxWxC, or HxW for mono. May be a view of foreign memory.
        order: meaning of the channels: rgb, bgr, rgba, bgra or mono.

    Raises:
        FrameError: pixels do not fit the order.
    """

    pixels: np.ndarray
    order: str = "rgb"

    def __post_init__(self) -> None:
        if self.order not in CHANNELS:
            raise FrameError(f"unknown channel order {self.order!r}, there is {', '.join(CHANNELS)}")
        shape, wanted = self.pixels.shape, CHANNELS[self.order]
        channels = 1 if len(shape) == 2 else shape[-1]
        if self.pixels.dtype != np.uint8 or len(shape) not in (2, 3) or channels != wanted:
            raise FrameError(
                f"pixels are {self.pixels.dtype} of shape {shape}, {self.order} needs uint8 with {wanted} channel(s)"
            )
        if self.pixels.size == 0:
            raise FrameError(f"frame is empty, its shape is {shape}")

    @property
    def is_blank(self) -> bool:
        """Whether it carries no picture: black, white, or any one color but for noise."""
        step = max(len(self.pixels) // BLANK_ROWS, 1)
        _, deviation = cv2.meanStdDev(np.ascontiguousarray(self.pixels[::step, ::step]))
        return bool(deviation[:3].max() < BLANK_LEVELS)  # alpha is no part of the picture


class SensorBits:
    """Number of bits of 16-bit samples that a sensor uses: those of the largest sample so far.

    10 or 12 low bits would look black by their high byte. The number only rises, so that light stays comparable.

    Args:
        fixed: the number, 1 to 16, where it is known; 0 finds it.
        least: found before, in a sample of the stream; 0 is nothing.

    Raises:
        FastDepthError: more bits than a sample has.
    """

    def __init__(self, fixed: int = 0, least: int = 0) -> None:
        if not 0 <= fixed <= SAMPLE_BITS:
            raise FastDepthError(f"bits is {fixed}, a sample has 1 to {SAMPLE_BITS}; 0 finds them")
        self.fixed, self.bits, self.frames = fixed, fixed or least, 0

    @property
    def settled(self) -> bool:
        """Whether a rise of the last frame came late."""
        return self.frames > SETTLED_FRAMES

    def high_bytes(self, samples: np.ndarray) -> np.ndarray:
        """uint8 of uint16 samples of one frame, any shape: their eight highest used bits, saturated beyond."""
        self.see(samples)
        bits = self.bits or SAMPLE_BITS  # a frame of zeros says nothing
        if bits == SAMPLE_BITS:
            return (samples >> 8).astype(np.uint8)
        scaled = samples >> (bits - 8) if bits >= 8 else samples.astype(np.uint32) << (8 - bits)
        return np.minimum(scaled, 255).astype(np.uint8)

    def see(self, samples: np.ndarray) -> None:
        """Take the samples of a frame into account."""
        self.frames += 1
        if not self.fixed and self.bits < SAMPLE_BITS:
            used = int(samples.max()).bit_length()
            if used:
                self.bits = max(self.bits, next(step for step in _BIT_STEPS if used <= step))


class UnknownEncodingError(FrameError):
    """An encoding that is not in our table."""


@dataclass(frozen=True)
class RawImage:
    """Fields of a sensor_msgs/Image that `decode_raw` reads; `data` is anything with the buffer protocol."""

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
    "16UC3": ("bgr", 2), "16UC4": ("bgra", 2),
}  # fmt: skip
_DEPTH = {"16UC1": "millimeters", "32FC1": "meters"}  # REP 118
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


def decode_message(message: Any, sensor: SensorBits | None = None) -> Frame:
    """Frame of a sensor_msgs/Image or CompressedImage of ROS 1 or 2, live or recorded.

    Args:
        sensor: see `decode_raw`.

    Raises:
        FrameError: as of `decode_raw` and `decode_compressed`; for a compressed image it names the format.
    """
    if not hasattr(message, "format"):
        return decode_raw(message, sensor)
    from fastdepth_ros.depth.compressed_image import decode_compressed  # most cameras send raw images

    try:
        return decode_compressed(message.data, format_name=message.format, sensor=sensor)
    except FrameError as error:
        if message.format and message.format in str(error):
            raise
        raise FrameError(f"{error} (its format: {message.format!r})") from error


def decode_raw(image: RawImage | Any, sensor: SensorBits | None = None) -> Frame:
    """A frame from an uncompressed image. Packed 8-bit encodings are viewed, not copied.

    Args:
        sensor: bits of 16-bit encodings that are used, over the stream; None finds them in this image alone.

    Raises:
        UnknownEncodingError: not one of `encoding_names()`.
        FrameError: a depth image, empty, of more pixels than any camera has, `step` too small, or `data` shorter than
            `step * height`.
    """
    refuse_depth(image.encoding)
    decode = _decoder(image.encoding)
    if image.height < 1 or image.width < 1:
        raise FrameError(f"image is empty: {image.width}x{image.height}")
    check_size(image.width, image.height, "image")
    return decode(image, sensor or SensorBits())


def check_size(width: int, height: int, what: str) -> None:
    """Raises FrameError for more than MAX_PIXELS, which no camera has."""
    if width * height > MAX_PIXELS:
        raise FrameError(f"{what} of {width}x{height} pixels is not read, {MAX_PIXELS} pixels are the most")


def refuse_depth(encoding: str) -> None:
    """Raises FrameError for an encoding of depth images."""
    if encoding in _DEPTH:
        raise FrameError(
            f"encoding {encoding!r} is a depth image ({_DEPTH[encoding]}), not a camera's image; take a color topic"
        )


def gray_frame(pixels: np.ndarray, encoding: str) -> Frame:
    """Frame of uint8 HxW pixels: the mosaic of a Bayer encoding, mono of any other."""
    bayer = _bayer_name(encoding)
    return Frame(cv2.cvtColor(pixels, _BAYER[bayer])) if bayer else Frame(pixels, "mono")


def _bayer_name(encoding: str) -> str:
    """Without its bits; "" of what is no Bayer encoding."""
    name = encoding.removesuffix("16") if encoding.endswith("16") else encoding.removesuffix("8")
    return name if name in _BAYER and name != encoding else ""


def _decoder(encoding: str) -> Callable[[RawImage, SensorBits], Frame]:
    if encoding in _PACKED:
        return _packed
    if _bayer_name(encoding):
        return _bayer
    if encoding in _YUV422:
        return _yuv422
    if encoding in _YUV420:
        return _yuv420
    raise UnknownEncodingError(f"unknown encoding {encoding!r}, there is {', '.join(encoding_names())}")


def _packed(image: RawImage, sensor: SensorBits) -> Frame:
    order, depth_bytes = _PACKED[image.encoding]
    channels = CHANNELS[order]
    pixels = _high_bytes(image, channels, depth_bytes, sensor)
    return Frame(pixels[..., 0] if channels == 1 else pixels, order)


def _bayer(image: RawImage, sensor: SensorBits) -> Frame:
    depth_bytes = 2 if image.encoding.endswith("16") else 1
    return gray_frame(_high_bytes(image, 1, depth_bytes, sensor)[..., 0], image.encoding)


def _yuv422(image: RawImage, sensor: SensorBits) -> Frame:
    if image.width % 2:
        raise FrameError(f"{image.encoding} needs an even width, got {image.width}")
    return Frame(cv2.cvtColor(_high_bytes(image, 2, 1, sensor), _YUV422[image.encoding]))


def _yuv420(image: RawImage, _: SensorBits) -> Frame:
    if image.width % 2 or image.height % 2:
        raise FrameError(f"{image.encoding} needs an even width and height, got {image.width}x{image.height}")
    planes = _rows(image, image.height * 3 // 2, image.width)  # luma, then half as many rows of interleaved chroma
    return Frame(cv2.cvtColor(np.ascontiguousarray(planes), _YUV420[image.encoding]))


def _high_bytes(image: RawImage, channels: int, depth_bytes: int, sensor: SensorBits) -> np.ndarray:
    """uint8 (height, width, channels): all of an 8-bit image, the highest used bits of a 16-bit one."""
    rows = _rows(image, image.height, image.width * channels * depth_bytes)
    if depth_bytes == 1:
        return rows.reshape(image.height, image.width, channels)
    samples = np.ascontiguousarray(rows).view(">u2" if image.is_bigendian else "<u2")
    return sensor.high_bytes(samples.reshape(image.height, image.width, channels))


def _rows(image: RawImage, rows: int, row_bytes: int) -> np.ndarray:
    """uint8 (rows, row_bytes), a view that leaves the padding of each row out."""
    if image.step < row_bytes:
        raise FrameError(f"step is {image.step} bytes, {image.width} pixels of {image.encoding} need {row_bytes}")
    data = np.frombuffer(image.data, np.uint8) if len(image.data) else np.empty(0, np.uint8)
    if data.size < image.step * rows:
        raise FrameError(f"data has {data.size} bytes, {rows} rows of step {image.step} need {image.step * rows}")
    return data[: image.step * rows].reshape(rows, image.step)[:, :row_bytes]
