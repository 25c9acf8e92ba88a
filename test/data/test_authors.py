"""The authors' two nearest resizes, against loops that do one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.data.authors import authors_view


def nearest_resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """floor((i + 0.5) * in / out) for each row and column, in whole numbers, pixel by pixel."""
    result = np.empty((height, width, *image.shape[2:]), image.dtype)
    for row in range(height):
        for column in range(width):
            y = (2 * row + 1) * image.shape[0] // (2 * height)
            x = (2 * column + 1) * image.shape[1] // (2 * width)
            result[row, column] = image[y, x]
    return result


def one_after_the_other(image: np.ndarray, size: int, top: int, left: int, width: int) -> np.ndarray:
    reduced = nearest_resize(image, 250, width)
    return nearest_resize(reduced[top : top + 228, left : left + 304], size, size)


def coordinates(height: int, width: int) -> np.ndarray:
    """Each pixel holds its own number."""
    return np.arange(height * width, dtype=np.int32).reshape(height, width)


def test_a_640x480_frame_goes_through_333x250_and_the_crop_at_11_and_14():
    image = coordinates(480, 640)
    np.testing.assert_array_equal(authors_view(image, 224), one_after_the_other(image, 224, 11, 14, 333))


@pytest.mark.parametrize(
    ("height", "width", "reduced", "left"),
    [
        (240, 320, 333, 14),  # 14.5 rounds to even, as Python's round of the authors' crop does
        (250, 304, 304, 0),
        (480, 643, 334, 15),
        (480, 720, 375, 36),  # 35.5 rounds to 36
        (1080, 1440, 333, 14),
    ],
)
def test_other_frames_near_4_by_3_go_the_same_way(height, width, reduced, left):
    image = coordinates(height, width)
    np.testing.assert_array_equal(authors_view(image, 64), one_after_the_other(image, 64, 11, left, reduced))


def test_color_and_depth_take_the_same_pixels_and_keep_their_type():
    number = coordinates(480, 640)
    color = np.stack([number % 251, number % 241, number % 239], axis=-1).astype(np.uint8)
    depth = number.astype(np.float32)
    small_color, small_depth = authors_view(color, 224), authors_view(depth, 224)
    assert small_color.shape == (224, 224, 3)
    assert small_color.dtype == np.uint8
    assert small_depth.shape == (224, 224)
    assert small_depth.dtype == np.float32
    np.testing.assert_array_equal(small_color[..., 0], small_depth.astype(int) % 251)
    np.testing.assert_array_equal(small_color[..., 2], small_depth.astype(int) % 239)


def test_the_result_is_a_copy_that_a_network_can_read():
    image = np.zeros((480, 640, 3), np.uint8)
    small = authors_view(image, 224)
    assert small.flags.c_contiguous
    assert not np.shares_memory(small, image)


@pytest.mark.parametrize(("height", "width"), [(480, 480), (640, 480), (480, 580)])
def test_a_narrower_frame_is_refused_with_its_size(height, width):
    with pytest.raises(ValueError, match=f"{width}x{height}"):
        authors_view(np.zeros((height, width), np.uint8), 224)
