"""Colored depth: near is warm, far is cold, invalid is black."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastdepth_ros.pictures.color_map import color_depth

NEAR_M, FAR_M = 0.5, 8.0


def colors(*depths_m: float, dtype: type = np.float32) -> np.ndarray:
    """BGR of each depth."""
    return color_depth(np.array([depths_m], dtype), NEAR_M, FAR_M)[0].astype(int)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_near_is_red_and_far_is_blue(dtype):
    near, far = colors(0.55, 7.5, dtype=dtype)
    assert near[2] > near[0] + 50
    assert far[0] > far[2] + 20


def test_it_is_a_bgr_picture_of_the_same_size():
    picture = color_depth(np.full((3, 5), 2, np.float32), NEAR_M, FAR_M)
    assert picture.shape == (3, 5, 3)
    assert picture.dtype == np.uint8


def test_invalid_is_black_and_nothing_valid_is():
    picture = colors(np.nan, 0, -1, 0.01, 0.5, 2, 8, 100)
    assert (picture[:3] == 0).all()
    assert (picture[3:].sum(axis=1) > 0).all()


def test_outside_the_scale_is_the_color_of_its_end():
    picture = colors(0.01, NEAR_M, FAR_M, 50, np.inf)
    np.testing.assert_array_equal(picture[0], picture[1])
    np.testing.assert_array_equal(picture[3], picture[2])
    np.testing.assert_array_equal(picture[4], picture[2])


def test_equal_ratios_are_equal_steps_of_the_scale():
    turbo = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_TURBO)[0].astype(int)

    def level(color: np.ndarray) -> int:
        return int(np.abs(turbo - color).sum(axis=1).argmin())

    levels = [level(color) for color in colors(*(NEAR_M * 2**power for power in range(5)))]
    assert levels[0] >= 254
    assert levels[-1] <= 1
    np.testing.assert_allclose(np.diff(levels), -255 / 4, atol=1.1)


def test_an_image_without_any_depth_is_black():
    np.testing.assert_array_equal(color_depth(np.full((4, 4), np.nan, np.float32), NEAR_M, FAR_M), 0)


def test_the_depth_is_left_as_it_was():
    depth = np.array([[np.nan, 0.1, 3, 99]], np.float32)
    kept = depth.copy()
    color_depth(depth, NEAR_M, FAR_M)
    np.testing.assert_array_equal(depth, kept)
