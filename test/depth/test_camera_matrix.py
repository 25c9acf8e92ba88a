"""Which matrix of a camera_info holds for an image."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastdepth_ros.depth.camera_matrix import is_distorted, is_rectified, matrix_of

K = [500.0, 0, 320, 0, 501, 240, 0, 0, 1]
P = [450.0, 0, 321, -7, 0, 451, 241, 0, 0, 0, 1, 0]


def info(k=K, p=P, d=()) -> SimpleNamespace:
    return SimpleNamespace(k=k, p=p, d=list(d))


def test_k_is_of_the_image_as_it_comes_and_p_of_the_rectified_one():
    np.testing.assert_array_equal(matrix_of(info()), K)
    np.testing.assert_array_equal(matrix_of(info(), rectified=True), [450, 0, 321, 0, 451, 241, 0, 0, 1])
    np.testing.assert_array_equal(matrix_of(info(p=[0.0] * 12), rectified=True), K)


def test_ros_1_writes_its_fields_in_capitals():
    old = SimpleNamespace(K=K, P=P, D=[0.1])
    np.testing.assert_array_equal(matrix_of(old), K)
    assert is_distorted(old)


@pytest.mark.parametrize(
    "k",
    [[0.0] * 9, [-1.0, *K[1:]], [float("nan"), *K[1:]], [*K[:4], float("inf"), *K[5:]], [*K[:8], 0.0]],
)
def test_a_camera_that_is_not_calibrated_has_none(k):
    assert matrix_of(info(k=k)) is None


def test_no_camera_info_has_none():
    assert matrix_of(None) is None


@pytest.mark.parametrize("topic", ["/camera/image_rect", "/image_rect_color", "/d435/color/image_rect_raw/compressed"])
def test_a_rectified_image_is_known_by_its_name(topic):
    assert is_rectified(topic)


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/rect/image", "/image", "/image_unrectified", "/x/compressed"])
def test_any_other_is_taken_as_it_comes(topic):
    assert not is_rectified(topic)


def test_a_lens_distorts_if_any_coefficient_says_so():
    assert not is_distorted(info()) and not is_distorted(info(d=[0.0] * 5))
    assert is_distorted(info(d=[0, 0.1, 0, 0, 0]))
