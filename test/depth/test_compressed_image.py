"""Hostile compressed images are refused by their header: nothing of what they announce is allocated."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from png_files import png_of

from fastdepth_ros.depth.compressed_image import check_header, decode_compressed, jpeg_is_whole
from fastdepth_ros.depth.frame import MAX_PIXELS, FrameError, RawImage, decode_raw

SIDE = 60000


def encoded(suffix: str, *options: int) -> bytearray:
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (160, 120))
    done, data = cv2.imencode(suffix, picture, options)
    assert done
    return bytearray(data.tobytes())


def jpeg_of(width: int, height: int, *options: int) -> bytes:
    data = encoded(".jpg", *options)
    start = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    struct.pack_into(">HH", data, start + 5, height, width)
    return bytes(data)


def bmp_of(width: int, height: int) -> bytes:
    data = encoded(".bmp")
    struct.pack_into("<ii", data, 18, width, height)
    return bytes(data)


def webp_of(side: int, quality: int) -> bytes:
    data = encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, quality)
    if quality > 100:  # VP8L
        struct.pack_into("<I", data, 21, (side - 1) | (side - 1) << 14)
    else:
        struct.pack_into("<HH", data, 26, side, side)
    return bytes(data)


def extended_webp(side: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (side - 1).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize(
    "data",
    [
        png_of(SIDE, SIDE),
        png_of(2**31 - 1, 2**31 - 1),
        jpeg_of(SIDE, SIDE),
        jpeg_of(SIDE, SIDE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        bmp_of(SIDE, SIDE),
        bmp_of(SIDE, -SIDE),
        webp_of(16383, 101),
        webp_of(16383, 50),
        extended_webp(SIDE),
        b"P6 60000 60000 255\n",
    ],
    ids=["png", "png of 2^62", "jpeg", "progressive", "bmp", "bmp upside down", "lossless webp", "webp",
         "long webp", "ppm"],
)  # fmt: skip
def test_an_image_that_announces_too_many_pixels_costs_no_memory(data):
    tracemalloc.start()
    with pytest.raises(FrameError, match=f"{MAX_PIXELS} pixels are the most"):
        decode_compressed(data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000 + 2 * len(data)


def test_the_largest_that_is_read_is_8k_video():
    decode_raw(RawImage("mono8", 4320, 7680, 7680, False, bytes(4320 * 7680)))
    with pytest.raises(FrameError, match="pixels are the most"):
        decode_raw(RawImage("mono8", 8192, 8192, 8192, False, bytes(8192 * 8192)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_what_is_announced_is_what_comes(suffix):
    assert decode_compressed(bytes(encoded(suffix))).pixels.shape == (120, 160, 3)


def test_a_jpeg_with_rubbish_between_segments_is_measured_as_decoded():
    data = jpeg_of(SIDE, SIDE)
    with pytest.raises(FrameError, match=f"{SIDE}x{SIDE}"):
        decode_compressed(data[:2] + b"\xff\x01rubbish\xff\x00\xff\xff" + data[2:])


def test_a_jpeg_with_thousands_of_scans_is_not_decoded():
    data = bytes(encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    last = data.rindex(b"\xff\xda")
    with pytest.raises(FrameError, match="scans"):
        decode_compressed(data[:last] + data[last:-2] * 1000 + data[-2:])


def test_a_png_chunk_that_is_longer_than_the_data_is_not_allocated():
    data = encoded(".png")
    struct.pack_into(">I", data, data.index(b"IDAT") - 4, 0xFF000000)
    with pytest.raises(FrameError, match="cut short: its chunk b'IDAT' has 4278190080"):
        decode_compressed(bytes(data))


def test_a_png_of_several_images_is_not_decoded():
    data = png_of(64, 48, zlib.compress(bytes(64 * 48 * 3 + 48)))
    with pytest.raises(FrameError, match="several"):
        decode_compressed(data[:33] + data[8:33] + data[33:])


@pytest.mark.parametrize("make", [jpeg_of, png_of, bmp_of])
def test_few_bytes_cannot_keep_the_decoder_busy_with_many_pixels(make):
    data = make(5700, 5700)
    with pytest.raises(FrameError, match="cannot hold 5700x5700 pixels"):
        decode_compressed(data)


def test_formats_that_no_camera_sends_are_not_decoded():
    with pytest.raises(FrameError, match="JPEG, PNG, BMP, WebP, PPM and PGM are read"):
        decode_compressed(bytes(encoded(".tiff")), format_name="tiff")


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0", b"BM", b"RIFF\0\0\0\0WEBPVP8 "])
def test_a_header_that_ends_early_is_told(data):
    with pytest.raises(FrameError, match=f"{len(data)} bytes"):
        decode_compressed(data)


@pytest.mark.parametrize(
    "tail",
    [bytes(5000), b"\0\0\0\x18ftypmp42" + bytes(range(1, 200)) * 50, b"SEFH" + b"x" * 3000, b"\xff\xda" * 100,
     b"\xff\xd8\xff"],
    ids=["zeros", "film", "phone's trailer", "a hundred scans", "half of another JPEG"],
)  # fmt: skip
@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)], ids=["baseline", "progressive"])
def test_what_lies_behind_the_end_of_a_jpeg_is_no_part_of_it(tail, options):
    data = bytes(encoded(".jpg", *options))
    assert check_header(data + tail) == len(data)
    np.testing.assert_array_equal(decode_compressed(data + tail).pixels, decode_compressed(data).pixels)
    assert jpeg_is_whole(data + tail) and not jpeg_is_whole(data[:-2])
    with pytest.raises(FrameError, match="cut short"):
        decode_compressed(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("head", [b"P5\n# a comment\n3 2\n255\n", b"P5 3 2 4095\n", b"P6 3 2 255 "])
def test_a_pnm_is_as_long_as_it_says(head):
    with pytest.raises(FrameError, match="cut short"):
        decode_compressed(head + bytes(5))
    assert decode_compressed(head + bytes(6 * 3)).pixels.shape[:2] == (2, 3)
