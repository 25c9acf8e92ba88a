"""Images from files and depth to files."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.pictures.image_files import read_frame, write_depth, write_picture

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def as_rgb(frame: Frame) -> np.ndarray:
    if frame.order == "mono":
        return np.stack([frame.pixels] * 3, axis=-1)
    return frame.pixels[..., [frame.order.index(letter) for letter in "rgb"]]


def array_file(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "image.npy", array)
    return folder / "image.npy"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_of_floats_from_0_to_1_is_read_as_rgb(tmp_path, dtype):
    frame = read_frame(array_file(tmp_path, (RGB / 255).astype(dtype)))
    np.testing.assert_array_equal(as_rgb(frame), RGB)


def test_an_array_of_bytes_is_read_as_rgb(tmp_path):
    np.testing.assert_array_equal(as_rgb(read_frame(array_file(tmp_path, RGB))), RGB)


def test_a_png_is_read_with_its_colors(tmp_path):
    cv2.imwrite(str(tmp_path / "image.png"), RGB[..., ::-1])
    np.testing.assert_array_equal(as_rgb(read_frame(tmp_path / "image.png")), RGB)


def test_a_jpeg_is_read_with_its_colors_and_a_gray_one_as_gray(tmp_path):
    color = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    cv2.imwrite(str(tmp_path / "color.jpg"), color[..., ::-1])
    cv2.imwrite(str(tmp_path / "gray.jpg"), np.full((40, 60), 99, np.uint8))
    assert np.abs(as_rgb(read_frame(tmp_path / "color.jpg")).astype(int) - color).max() <= 3
    assert np.abs(as_rgb(read_frame(tmp_path / "gray.jpg")).astype(int) - 99).max() <= 2


@pytest.mark.parametrize("kind", ["alpha", "16 bit"])
def test_other_pngs_become_8_bit_color(tmp_path, kind):
    if kind == "alpha":
        stored = np.concatenate([RGB[..., ::-1], RGB[..., :1]], axis=-1)
    else:
        stored = RGB[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "image.png"), stored)
    np.testing.assert_array_equal(as_rgb(read_frame(tmp_path / "image.png")), RGB)


@pytest.mark.parametrize(("suffix", "ascii"), [(".ppm", 0), (".ppm", 1), (".pgm", 0), (".pgm", 1)])
def test_ppm_and_pgm_are_read(tmp_path, suffix, ascii):
    stored = RGB[..., ::-1] if suffix == ".ppm" else RGB[..., 1]
    cv2.imwrite(str(tmp_path / f"image{suffix}"), stored, [cv2.IMWRITE_PXM_BINARY, 1 - ascii])
    expected = RGB if suffix == ".ppm" else np.stack([RGB[..., 1]] * 3, axis=-1)
    np.testing.assert_array_equal(as_rgb(read_frame(tmp_path / f"image{suffix}")), expected)


@pytest.mark.parametrize("suffix", [".png", ".pgm"])
@pytest.mark.parametrize("bits", [0, 12])
def test_the_low_bits_of_a_16_bit_file_are_not_lost(tmp_path, suffix, bits):
    cv2.imwrite(str(tmp_path / f"image{suffix}"), RGB[..., 1].astype(np.uint16) << 4)
    np.testing.assert_array_equal(read_frame(tmp_path / f"image{suffix}", bits).pixels, RGB[..., 1])


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30] = 255  # bright on the left; orientation 6 says: turn it clockwise, bright on top
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    body = b"Exif\0\0" + b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0) + bytes(4)
    (tmp_path / "turned.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:])
    pixels = read_frame(tmp_path / "turned.jpg").pixels
    assert pixels.shape[:2] == (60, 40)
    assert pixels[:28].min() > 200
    assert pixels[32:].max() < 50


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FrameError, match=r"nothing\.jpg"):
        read_frame(tmp_path / "nothing.jpg")


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(FrameError, match=str(tmp_path.name)):
        read_frame(tmp_path)


@pytest.mark.parametrize("name", ["image.jpg", "image.png", "image.npy", "image.txt", "image"])
@pytest.mark.parametrize("content", [b"", b"not an image", b"PK\x03\x04 not an archive either"])
def test_a_file_that_is_no_image_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FrameError, match=name):
        read_frame(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".npy"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused_not_painted_gray(tmp_path, suffix, share):
    path = tmp_path / f"image{suffix}"
    if suffix == ".npy":
        np.save(path, RGB)
    else:
        cv2.imwrite(str(path), RGB)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FrameError, match=path.name):
        read_frame(path)


def test_an_archive_of_arrays_is_no_image(tmp_path):
    with (tmp_path / "image.npy").open("wb") as archive:
        np.savez(archive, image=RGB)
    with pytest.raises(FrameError, match=r"image\.npy"):
        read_frame(tmp_path / "image.npy")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5)), r"\(4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"\(4, 5, 4\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"\(1, 4, 5, 3\)"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
        (np.full((4, 5, 3), 200.0), r"\[0, 1\]"),
        (np.full((4, 5, 3), -0.1), r"\[0, 1\]"),
        (np.full((4, 5, 3), np.nan), r"\[0, 1\]"),
        (np.zeros((0, 5, 3), np.uint8), "empty"),
    ],
)
def test_an_array_that_is_no_image_is_refused_with_what_it_is(tmp_path, array, words):
    with pytest.raises(FrameError, match=words):
        read_frame(array_file(tmp_path, array))


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "image.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FrameError, match=r"image\.npy"):
        read_frame(tmp_path / "image.npy")


def test_depth_as_array_comes_back_bit_for_bit_with_its_nans(tmp_path):
    depth = np.array([[1.25, np.nan], [3, np.inf]], np.float32)
    write_depth(tmp_path / "depth.npy", np.zeros((9, 9), np.float32))
    write_depth(tmp_path / "depth.npy", depth)  # replaces
    stored = np.load(tmp_path / "depth.npy")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, depth)
    assert [path.name for path in tmp_path.iterdir()] == ["depth.npy"]


def test_depth_as_picture_is_warm_near_cold_far_and_black_where_invalid(tmp_path):
    write_depth(tmp_path / "depth.png", np.array([[0.6, 9.0, np.nan]], np.float32))
    near, far, invalid = cv2.imread(str(tmp_path / "depth.png"), cv2.IMREAD_UNCHANGED)[0].astype(int)
    assert near[2] > near[0]
    assert far[0] > far[2]
    assert invalid.tolist() == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["depth.png"]


@pytest.mark.parametrize("name", ["depth.jpg", "depth", "depth.npz"])
def test_depth_is_written_in_no_other_format(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.npy or \.png"):
        write_depth(tmp_path / name, np.zeros((2, 2), np.float32))
    assert not list(tmp_path.iterdir())


def test_a_picture_is_written_as_it_is(tmp_path):
    write_picture(tmp_path / "picture.png", RGB)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "picture.png")), RGB)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("name", ["depth.npy", "depth.png"])
def test_a_folder_that_does_not_exist_is_an_os_error(tmp_path, name):
    with pytest.raises(OSError, match="missing"):
        write_depth(tmp_path / "missing" / name, np.zeros((2, 2), np.float32))
