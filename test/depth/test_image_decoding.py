"""Every encoding against a pattern of known colors that this file encodes by itself."""

from __future__ import annotations

import struct
from array import array

import cv2
import numpy as np
import pytest
from png_files import png_of

from fastdepth_ros.depth.compressed_image import decode_compressed
from fastdepth_ros.depth.frame import (
    Frame,
    FrameError,
    RawImage,
    SensorBits,
    UnknownEncodingError,
    decode_raw,
    encoding_names,
)

BLOCK = 12
COLORS = np.array(
    [
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)],
        [(200, 120, 40), (20, 130, 210), (128, 128, 128), (90, 30, 160)],
        [(0, 0, 0), (250, 240, 10), (10, 200, 190), (60, 70, 80)],
    ],
    np.uint8,
)
PATTERN = COLORS.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)  # RGB, 36 x 48
HEIGHT, WIDTH = PATTERN.shape[:2]
GRAY = PATTERN[..., 1]

PACKED_8 = {"rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgba", "bgra8": "bgra", "mono8": "mono",
            "8UC1": "mono", "8UC3": "bgr", "8UC4": "bgra"}  # fmt: skip
PACKED_16 = {"rgb16": "rgb", "bgr16": "bgr", "rgba16": "rgba", "bgra16": "bgra", "mono16": "mono",
             "16UC3": "bgr", "16UC4": "bgra"}  # fmt: skip
BAYER = {"bayer_rggb": "rggb", "bayer_bggr": "bggr", "bayer_gbrg": "gbrg", "bayer_grbg": "grbg"}
YUV_422 = {"uyvy": "uyvy", "yuv422": "uyvy", "yuyv": "yuyv", "yuv422_yuy2": "yuyv"}
YUV_420 = {"nv12": "uv", "nv21": "vu"}


def channels(order: str) -> np.ndarray:
    """The pattern with its channels in an order; alpha is noise."""
    if order == "mono":
        return GRAY[..., None]
    alpha = np.random.default_rng(0).integers(0, 256, GRAY.shape, dtype=np.uint8)
    planes = {"r": PATTERN[..., 0], "g": PATTERN[..., 1], "b": PATTERN[..., 2], "a": alpha}
    return np.stack([planes[letter] for letter in order], axis=-1)


def mosaic(order: str) -> np.ndarray:
    """One color a pixel; `order` names the first row's first two pixels, then the second row's."""
    color = np.array(["rgb".index(letter) for letter in order]).reshape(2, 2)
    color = np.tile(color, (HEIGHT // 2, WIDTH // 2))
    return np.take_along_axis(PATTERN, color[..., None], axis=-1)[..., 0]


def yuv() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BT.601, studio range, uint8 planes at full resolution; the blocks lie on even pixels."""
    r, g, b = np.moveaxis(PATTERN.astype(float) / 255, -1, 0)
    planes = (
        16 + 65.481 * r + 128.553 * g + 24.966 * b,
        128 - 37.797 * r - 74.203 * g + 112.0 * b,
        128 + 112.0 * r - 93.786 * g - 18.214 * b,
    )
    y, u, v = (np.rint(plane).astype(np.uint8) for plane in planes)
    return y, u, v


def packed_422(order: str) -> np.ndarray:
    y, u, v = yuv()
    letters = {"u": iter([u[:, ::2]]), "v": iter([v[:, ::2]]), "y": iter([y[:, ::2], y[:, 1::2]])}
    return np.stack([next(letters[letter]) for letter in order], axis=-1).reshape(HEIGHT, WIDTH * 2)


def planar_420(order: str) -> np.ndarray:
    y, u, v = yuv()
    planes = {"u": u[::2, ::2], "v": v[::2, ::2]}
    chroma = np.stack([planes[letter] for letter in order], axis=-1).reshape(HEIGHT // 2, WIDTH)
    return np.concatenate([y, chroma])


def sixteen_bits(high: np.ndarray, big_endian: bool) -> np.ndarray:
    """The low byte is noise: it must not be seen."""
    low = np.random.default_rng(1).integers(0, 256, high.shape).astype(np.uint16)
    return ((high.astype(np.uint16) << 8) | low).astype(">u2" if big_endian else "<u2").view(np.uint8)


def message(encoding: str, rows: np.ndarray, *, padding: int = 0, big_endian: bool = False) -> RawImage:
    """A raw image of the pattern from uint8 rows, each with rubbish after it."""
    rows = rows.reshape(rows.shape[0], -1)
    rubbish = np.full((rows.shape[0], padding), 0xA5, np.uint8)
    padded = np.concatenate([rows, rubbish], axis=1)
    return RawImage(encoding, HEIGHT, WIDTH, padded.shape[1], big_endian, padded.tobytes())


def as_rgb(frame: Frame) -> np.ndarray:
    if frame.order == "mono":
        gray = frame.pixels.reshape(frame.pixels.shape[:2])
        return np.stack([gray] * 3, axis=-1)
    return frame.pixels[..., [frame.order.index(letter) for letter in "rgb"]]


def inner(image: np.ndarray, margin: int = 3) -> np.ndarray:
    """The middles of the blocks, where neighbors do not reach."""
    blocks = image.reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK, 3)
    return blocks[:, margin:-margin, :, margin:-margin].astype(int)


def test_every_encoding_of_the_issue_is_known():
    issue = {*PACKED_8, *PACKED_16, *YUV_422, *YUV_420, *(f"{name}8" for name in BAYER)}
    assert issue <= set(encoding_names())


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", PACKED_8)
def test_packed_8_bit_is_seen_as_it_is_and_not_copied(encoding, padding):
    order = PACKED_8[encoding]
    image = message(encoding, channels(order), padding=padding)
    frame = decode_raw(image)
    expected = np.stack([GRAY] * 3, axis=-1) if order == "mono" else PATTERN
    np.testing.assert_array_equal(as_rgb(frame), expected)
    assert np.shares_memory(frame.pixels, np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", PACKED_16)
def test_16_bit_keeps_its_high_byte_in_both_byte_orders(encoding, padding, big_endian):
    order = PACKED_16[encoding]
    rows = sixteen_bits(channels(order), big_endian)
    frame = decode_raw(message(encoding, rows, padding=padding, big_endian=big_endian))
    expected = np.stack([GRAY] * 3, axis=-1) if order == "mono" else PATTERN
    np.testing.assert_array_equal(as_rgb(frame), expected)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("encoding", ["mono16", "rgb16", "bayer_rggb16"])
def test_the_bits_that_a_sensor_uses_are_found(encoding, bits, big_endian):
    high = mosaic("rggb") if encoding.startswith("bayer") else channels(PACKED_16[encoding])
    rows = (high.astype(np.uint16) << (bits - 8)).astype(">u2" if big_endian else "<u2").view(np.uint8)
    frame = decode_raw(message(encoding, rows, padding=2, big_endian=big_endian))
    expected = decode_raw(message(encoding.replace("16", "8"), high))
    np.testing.assert_array_equal(as_rgb(frame), as_rgb(expected))


def sample(value: int) -> RawImage:
    return RawImage("mono16", 4, 5, 10, False, np.full((4, 5), value, "<u2").tobytes())


def test_over_a_stream_the_bits_only_rise_so_that_a_dark_frame_stays_dark():
    sensor, seen = SensorBits(), []
    for value in (0, 500, 4000, 500, 0, 5000):
        pixels = decode_raw(sample(value), sensor).pixels
        seen.append((int(pixels[0, 0]), sensor.bits))
    assert seen == [(0, 0), (500 >> 2, 10), (4000 >> 4, 12), (500 >> 4, 12), (0, 12), (5000 >> 6, 14)]
    assert not sensor.settled
    decode_raw(sample(9), found := SensorBits(least=12))
    assert found.bits == 12


def test_fixed_bits_stay_and_what_lies_above_them_is_white():
    sensor = SensorBits(10)
    assert [int(decode_raw(sample(value), sensor).pixels[0, 0]) for value in (400, 1023, 4000)] == [100, 255, 255]
    assert int(decode_raw(sample(3), SensorBits(2)).pixels[0, 0]) == 3 << 6
    with pytest.raises(ValueError, match="bits is 17"):
        SensorBits(17)


def test_byte_order_changes_nothing_of_8_bit():
    image = message("bgr8", channels("bgr"), big_endian=True)
    np.testing.assert_array_equal(as_rgb(decode_raw(image)), PATTERN)


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_8_has_the_colors_of_the_pattern(encoding, padding):
    frame = decode_raw(message(f"{encoding}8", mosaic(BAYER[encoding]), padding=padding))
    np.testing.assert_array_equal(inner(as_rgb(frame)), inner(PATTERN))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_16_has_the_colors_of_the_pattern(encoding, big_endian):
    rows = sixteen_bits(mosaic(BAYER[encoding]), big_endian)
    frame = decode_raw(message(f"{encoding}16", rows, padding=4, big_endian=big_endian))
    np.testing.assert_array_equal(inner(as_rgb(frame)), inner(PATTERN))


@pytest.mark.parametrize("padding", [0, 8])
@pytest.mark.parametrize("encoding", YUV_422)
def test_yuv_422_has_the_colors_of_the_pattern(encoding, padding):
    frame = decode_raw(message(encoding, packed_422(YUV_422[encoding]), padding=padding))
    assert np.abs(inner(as_rgb(frame)) - inner(PATTERN)).max() <= 3


@pytest.mark.parametrize("padding", [0, 8])
@pytest.mark.parametrize("encoding", YUV_420)
def test_nv12_and_nv21_have_the_colors_of_the_pattern(encoding, padding):
    frame = decode_raw(message(encoding, planar_420(YUV_420[encoding]), padding=padding))
    assert frame.pixels.shape[:2] == (HEIGHT, WIDTH)
    assert np.abs(inner(as_rgb(frame)) - inner(PATTERN)).max() <= 3


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array("B", data),
                                  lambda data: np.frombuffer(data, np.uint8)])  # fmt: skip
def test_any_buffer_will_do_and_may_be_too_long(kind):
    data = channels("rgb").tobytes() + b"more"
    frame = decode_raw(RawImage("rgb8", HEIGHT, WIDTH, WIDTH * 3, False, kind(data)))
    np.testing.assert_array_equal(as_rgb(frame), PATTERN)


@pytest.mark.parametrize("encoding", [*PACKED_8, *PACKED_16, "bayer_rggb8", "bayer_gbrg16", *YUV_422, *YUV_420])
@pytest.mark.parametrize("fault", ["no rows", "no columns", "no data", "short data", "small step"])
def test_an_image_whose_sizes_do_not_fit_is_refused(encoding, fault):
    step = WIDTH * 8  # enough for any of them
    fields = {"height": HEIGHT, "width": WIDTH, "step": step, "data": bytes(step * HEIGHT * 3 // 2)}
    decode_raw(RawImage(encoding=encoding, is_bigendian=False, **fields))  # is fine before
    if fault == "short data":
        rows = HEIGHT * 3 // 2 if encoding in YUV_420 else HEIGHT
        fields["data"] = bytes(step * rows - 1)
    else:
        fields |= {
            "no rows": {"height": 0}, "no columns": {"width": 0}, "no data": {"data": b""},
            "small step": {"step": WIDTH - 1},
        }[fault]  # fmt: skip
    with pytest.raises(FrameError) as refusal:
        decode_raw(RawImage(encoding=encoding, is_bigendian=False, **fields))
    words = {"no rows": "empty", "no columns": "empty", "no data": "0 bytes", "small step": f"step is {WIDTH - 1}"}
    assert words.get(fault, str(len(fields["data"]))) in str(refusal.value)


def test_a_step_that_is_one_byte_too_small_is_refused_with_what_it_needs():
    with pytest.raises(FrameError, match=rf"{WIDTH * 3 - 1}.*{WIDTH * 3}"):
        decode_raw(RawImage("bgr8", HEIGHT, WIDTH, WIDTH * 3 - 1, False, bytes(WIDTH * 3 * HEIGHT)))


@pytest.mark.parametrize(("encoding", "height", "width"), [("uyvy", 4, 5), ("nv12", 4, 5), ("nv21", 5, 4)])
def test_subsampled_chroma_needs_even_sizes(encoding, height, width):
    with pytest.raises(FrameError, match="even"):
        decode_raw(RawImage(encoding, height, width, 16, False, bytes(1000)))


@pytest.mark.parametrize("encoding", ["", "32FC3", "BGR8", "bayer_rggb", "bayer_rggb88", "bayer_x8", "8", "nv12 "])
def test_an_unknown_encoding_lists_the_known_ones(encoding):
    with pytest.raises(UnknownEncodingError) as refusal:
        decode_raw(RawImage(encoding, HEIGHT, WIDTH, WIDTH * 4, False, bytes(WIDTH * 4 * HEIGHT)))
    assert isinstance(refusal.value, FrameError)
    assert repr(encoding) in str(refusal.value)
    for known in ["bgr8", "bayer_rggb8", "yuv422_yuy2", "nv21", "mono16"]:
        assert known in str(refusal.value)


# --- compressed -------------------------------------------------------------------------------------------------------


def compressed(suffix: str, rgb: np.ndarray = PATTERN) -> bytes:
    done, encoded = cv2.imencode(suffix, rgb[..., ::-1])
    assert done
    return encoded.tobytes()


def turned_jpeg(orientation: int) -> bytes:
    """The pattern with an EXIF orientation."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    body = b"Exif\0\0" + b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    jpeg = compressed(".jpg")
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 20)])
@pytest.mark.parametrize("kind", [bytes, memoryview, lambda data: array("B", data)])
def test_jpeg_and_png_have_the_colors_of_the_pattern(suffix, tolerance, kind):
    frame = decode_compressed(kind(compressed(suffix)), format_name="bgr8; jpeg compressed bgr8")
    assert frame.pixels.shape[:2] == (HEIGHT, WIDTH)
    assert np.abs(inner(as_rgb(frame), margin=4) - inner(PATTERN, margin=4)).max() <= tolerance


def test_a_gray_jpeg_becomes_a_frame():
    frame = decode_compressed(cv2.imencode(".jpg", np.full((40, 50), 90, np.uint8))[1].tobytes())
    assert frame.pixels.shape[:2] == (40, 50)
    assert np.abs(as_rgb(frame).astype(int) - 90).max() <= 2


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_of_a_camera_frame_is_ignored(orientation):
    data = turned_jpeg(orientation)
    turned = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert turned.shape[:2] == ((HEIGHT, WIDTH) if orientation == 3 else (WIDTH, HEIGHT))  # the tag is a real one
    np.testing.assert_array_equal(decode_compressed(data).pixels, decode_compressed(compressed(".jpg")).pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.99])
def test_a_truncated_image_is_refused(suffix, share):
    data = compressed(suffix, np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8))
    with pytest.raises(FrameError, match="cut short|corrupt|cannot be decoded"):
        decode_compressed(data[: max(1, int(share * len(data)))])


@pytest.mark.parametrize(
    "data",
    [
        b"not an image at all",
        b"\xff\xd8" + bytes(500) + b"\xff\xd9",
        b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
)
def test_rubbish_is_refused_with_its_size(data):
    with pytest.raises(FrameError, match=f"{len(data)} bytes"):
        decode_compressed(data, format_name="jpeg")


def test_a_jpeg_with_a_damaged_header_is_refused():
    data = bytearray(compressed(".jpg"))
    start = data.index(b"\xff\xc0")  # the frame header: precision, height, width
    data[start + 4] = 0x63
    with pytest.raises(FrameError):
        decode_compressed(bytes(data))


def test_a_png_that_claims_to_be_enormous_is_refused():
    with pytest.raises(FrameError):
        decode_compressed(png_of(60000, 60000))


@pytest.mark.parametrize("data", [b"", bytearray(), array("B")])
def test_an_empty_message_is_refused(data):
    with pytest.raises(FrameError, match="empty"):
        decode_compressed(data, format_name="jpeg")


def test_compressed_depth_is_not_taken_for_color():
    with pytest.raises(FrameError, match="depth"):
        decode_compressed(compressed(".png"), format_name="16UC1; compressedDepth png")


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_a_depth_image_is_no_camera_image_raw_or_compressed(encoding):
    for decode in (
        lambda: decode_raw(RawImage(encoding, HEIGHT, WIDTH, WIDTH * 4, False, bytes(WIDTH * 4 * HEIGHT))),
        lambda: decode_compressed(compressed(".png"), format_name=f"{encoding}; png compressed "),
    ):
        with pytest.raises(FrameError, match=f"{encoding}.* is a depth image") as refusal:
            decode()
        assert not isinstance(refusal.value, UnknownEncodingError)  # which another reader may know


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("encoding", BAYER)
def test_a_compressed_mosaic_has_the_colors_of_the_pattern(encoding, bits):
    stored = mosaic(BAYER[encoding]).astype(np.uint16) << 4 if bits == 16 else mosaic(BAYER[encoding])
    data = cv2.imencode(".png", stored)[1].tobytes()
    frame = decode_compressed(data, format_name=f"{encoding}{bits}; png compressed ")
    np.testing.assert_array_equal(inner(as_rgb(frame)), inner(PATTERN))


def test_a_mosaic_as_jpeg_is_demosaiced_and_a_color_picture_is_not():
    gray = np.full((40, 50), 90, np.uint8)
    frame = decode_compressed(cv2.imencode(".jpg", gray)[1].tobytes(), format_name="bayer_rggb8; jpeg compressed ")
    assert frame.pixels.shape == (40, 50, 3)
    frame = decode_compressed(compressed(".png"), format_name="bayer_rggb8; png compressed bgr8")
    np.testing.assert_array_equal(as_rgb(frame), PATTERN)


@pytest.mark.parametrize(
    ("format_name", "given"),
    [
        ("rgb8; png compressed rgb8", "rgb"),
        ("rgb16; png compressed rgb16", "rgb"),
        ("rgb8; png compressed bgr8", "bgr"),
        ("rgb8; png compressed", "bgr"),
        ("bgr8; jpeg compressed bgr8", "bgr"),
        ("png", "bgr"),
    ],
)
def test_colors_are_those_of_the_order_that_went_into_the_codec(format_name, given):
    pixels = channels(given)
    data = cv2.imencode(".png", pixels.astype(np.uint16) << 8 if "16" in format_name else pixels)[1].tobytes()
    np.testing.assert_array_equal(as_rgb(decode_compressed(data, format_name=format_name)), PATTERN)
