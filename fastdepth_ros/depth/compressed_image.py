"""Compressed images: size limits read from the header, before a decoder allocates gigabytes or runs for hours, and the
pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import error, unpack_from
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.frame import MAX_PIXELS, Frame, SensorBits, check_size, gray_frame, refuse_depth
from fastdepth_ros.errors import FrameError

_MAX_SCANS = 64  # of a JPEG; a progressive one has about 10, and each goes over all of the image
# The most pixels that a byte can hold, so that few bytes do not keep a decoder busy: of JPEG a block of 8x8 a
# bit; of PNG 1032 (deflate) times 8 pixels; of BMP run lengths. A WebP of one color has no such bound.
_PIXELS_PER_BYTE = {"JPEG": 512, "PNG": 8256, "BMP": 512}
_LONE_MARKERS = {0x01, *range(0xD0, 0xD8)}  # have no length
_NO_FRAME_HEADER = {0xC4, 0xC8, 0xCC}  # tables between the markers of frame headers
_SCAN, _END = 0xDA, 0xD9
_PNM_CHANNELS = {b"P2": 1, b"P3": 3, b"P5": 1, b"P6": 3}  # the first two in ASCII
_PNM = re.compile(rb"(P[2356])" + rb"(?:\s|#[^\n\r]*)+(\d{1,9})" * 3 + rb"\s")  # width, height, largest sample


def decode_compressed(
    data: Any, *, format_name: str = "", upright: bool = False, sensor: SensorBits | None = None
) -> Frame:
    """A frame from a JPEG, PNG, BMP, WebP, PPM or PGM (sensor_msgs/CompressedImage).

    Args:
        format_name: format by image_transport, "bayer_rggb8; png compressed ": encoding of the image, then codec and
            order of the pixels that it was given. A gray picture of a Bayer camera is its mosaic.
        upright: turn it as its EXIF says, as for a photograph; a camera's matrix holds in the sensor's orientation.
        sensor: see `decode_raw`; for PNG, PPM and PGM of 16 bits.

    Raises:
        FrameError: corrupt, cut short, of more pixels than any camera has, or a depth image.
    """
    encoding, _, codec = (part.strip() for part in format_name.partition(";"))
    if "compressedDepth" in format_name:
        raise FrameError(f"compressed image of format {format_name!r} holds depth, not color")
    refuse_depth(encoding)
    encoded = bytes(data)
    if not encoded:
        raise FrameError("compressed image is empty")
    encoded = encoded[: check_header(encoded)]
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:
        raise FrameError(f"compressed image cannot be decoded: {error}") from error
    if pixels is None:
        raise FrameError(f"compressed image ({format_name!r}, {len(encoded)} bytes) is corrupt")
    if pixels.dtype == np.uint16:
        pixels = (sensor or SensorBits()).high_bytes(pixels)
    if pixels.ndim == 2:
        return gray_frame(pixels, encoding)
    # what was compressed as "rgb8" went into the codec as if it were BGR, and comes out so
    return Frame(pixels, "rgb" if "compressed rgb" in codec else "bgr")


def check_header(encoded: bytes) -> int:
    """Refuse a compressed image that is of no format we decode, cut short, or too large.

    Returns:
        Bytes of the image. What a phone writes behind the end of a JPEG, a film perhaps, is no part of it.

    Raises:
        FrameError: as the text says.
    """
    try:
        if encoded.startswith(b"\xff\xd8"):
            encoded = encoded[: _jpeg_end(encoded)]
        name, width, height = _format_and_size(encoded)
    except (error, IndexError):
        raise FrameError(f"compressed image of {len(encoded)} bytes is corrupt: cut short in its header") from None
    check_size(width, height, name)
    if width * height > _PIXELS_PER_BYTE.get(name, MAX_PIXELS) * len(encoded):
        raise FrameError(f"{name} of {len(encoded)} bytes is cut short: they cannot hold {width}x{height} pixels")
    if name == "JPEG" and encoded.count(b"\xff\xda") > _MAX_SCANS:
        raise FrameError(f"JPEG of {len(encoded)} bytes has over {_MAX_SCANS} scans: no camera's, not decoded")
    return len(encoded)


def _format_and_size(encoded: bytes) -> tuple[str, int, int]:
    """Format, width and height."""
    if encoded.startswith(b"\xff\xd8"):
        return "JPEG", *_jpeg(encoded)
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", *_png(encoded)
    if encoded.startswith(b"BM"):
        return "BMP", *_bmp(encoded)
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return "WebP", *_webp(encoded)
    if encoded[:2] in _PNM_CHANNELS:
        return "PPM", *_pnm(encoded)
    raise FrameError(
        f"compressed image of {len(encoded)} bytes is corrupt or of no known format: JPEG, PNG, BMP, WebP, PPM and PGM "
        "are read"
    )


def jpeg_is_whole(data: bytes) -> bool:
    """Whether a JPEG's end marker follows its first scan; one before it belongs to a thumbnail."""
    try:
        _jpeg_end(data)
    except (FrameError, error, IndexError):
        return False
    return True


def _jpeg_end(encoded: bytes) -> int:
    """Position of a JPEG's end; OpenCV fills the missing part of a truncated one with gray."""
    for marker, position in _segments(encoded):
        if marker == _END:
            break
        if marker == _SCAN:
            end = encoded.find(bytes((0xFF, _END)), position)
            if end < 0:
                raise FrameError(f"JPEG of {len(encoded)} bytes is cut short: it has no end marker")
            return end + 2
    raise FrameError(f"JPEG of {len(encoded)} bytes is corrupt: it has no scan")


def _jpeg(encoded: bytes) -> tuple[int, int]:
    for marker, position in _segments(encoded):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER:
            height, width = unpack_from(">HH", encoded, position + 5)
            return width, height
        if marker in (_SCAN, _END):
            break
    raise FrameError(f"JPEG of {len(encoded)} bytes is corrupt: it has no frame header")


def _segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position of each segment of a JPEG, up to its first scan or its end."""
    position = 2
    while True:
        position = encoded.find(b"\xff", position)
        if position < 0:
            raise IndexError
        marker = encoded[position + 1]
        if marker in (0x00, 0xFF):  # rubbish or padding, which decoders pass over
            position += 1
            continue
        yield marker, position
        if marker in (_SCAN, _END):
            return
        position += 2 if marker in _LONE_MARKERS else 2 + unpack_from(">H", encoded, position + 2)[0]


def _pnm(encoded: bytes) -> tuple[int, int]:
    found = _PNM.match(encoded)
    if not found:
        raise IndexError
    kind, width, height, largest = found[1], *(int(found[number]) for number in (2, 3, 4))
    samples = width * height * _PNM_CHANNELS[kind]
    least = samples * 2 - 1 if kind in (b"P2", b"P3") else samples * (2 if largest > 255 else 1)
    if width * height <= MAX_PIXELS and len(encoded) - found.end() < least:
        raise FrameError(f"{kind.decode()} of {len(encoded)} bytes is cut short: {width}x{height} pixels need {least}")
    return width, height


def _png(encoded: bytes) -> tuple[int, int]:
    """OpenCV makes room for a chunk as long as it says it is, though the data ends before."""
    position = 8
    names: list[bytes] = []
    while position < len(encoded) and names[-1:] != [b"IEND"]:
        length, name = unpack_from(">I4s", encoded, position)
        position += 12 + length
        if position > len(encoded):
            raise FrameError(f"PNG of {len(encoded)} bytes is cut short: its chunk {name!r} has {length}")
        names.append(name)
    if names[:1] != [b"IHDR"] or names.count(b"IHDR") > 1 or b"acTL" in names:
        raise FrameError(f"PNG of {len(encoded)} bytes is corrupt: no image or several ({len(names)} chunks)")
    return unpack_from(">II", encoded, 16)


def _bmp(encoded: bytes) -> tuple[int, int]:
    if unpack_from("<I", encoded, 14)[0] == 12:  # of OS/2
        return unpack_from("<HH", encoded, 18)
    width, height = unpack_from("<ii", encoded, 18)
    return abs(width), abs(height)


def _webp(encoded: bytes) -> tuple[int, int]:
    kind = encoded[12:16]
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", encoded, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", encoded, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    low, high = unpack_from("<I", encoded, 24)[0] & 0xFFFFFF, unpack_from("<I", encoded, 26)[0] >> 8  # VP8X
    return low + 1, high + 1
