"""The field of view, and what it does to the camera matrix: checked with points, ramps and cv2.resize itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.geometry import Crop, camera_through, field_of_view, trained_view

K = (518.858, 0.0, 324.58, 0.0, 519.470, 252.74, 0.0, 0.0, 1.0)
P = (518.858, 0.0, 324.58, -38.9, 0.0, 519.470, 252.74, 7.5, 0.0, 0.0, 1.0, 0.25)


def test_a_640x480_frame_keeps_the_authors_rectangle():
    assert trained_view(480, 640) == Crop(top=21, left=28, height=438, width=584)


@pytest.mark.parametrize(
    ("frame", "view"),
    [
        ((240, 320), (219, 292)),
        ((720, 1280), (657, 876)),  # wide: by its height
        ((32, 1000), (29, 39)),  # very wide and tiny
        ((480, 584), (438, 584)),  # just wide enough
        ((38, 46), (35, 46)),  # exactly wide enough is not wider
        ((480, 583), (437, 583)),  # just too narrow: full width, 3/4 of it high
        ((480, 480), (360, 480)),
        ((640, 480), (360, 480)),  # portrait
        ((1000, 32), (24, 32)),  # very tall and tiny
        ((32, 32), (24, 32)),
    ],
)
def test_the_trained_view_of_any_shape_is_central_and_as_designed(frame, view):
    crop = trained_view(*frame)
    assert (crop.height, crop.width) == view
    assert abs(2 * crop.top + crop.height - frame[0]) <= 1
    assert abs(2 * crop.left + crop.width - frame[1]) <= 1


def test_the_trained_view_lies_inside_every_frame_and_keeps_its_shape():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(32, 2000, (500, 2)).tolist():
        crop = trained_view(height, width)
        assert crop.top >= 0
        assert crop.left >= 0
        assert crop.top + crop.height <= height
        assert crop.left + crop.width <= width
        assert abs(crop.height - 0.75 * crop.width) <= 1  # two roundings


def test_the_full_view_is_the_frame():
    assert field_of_view("full", 77, 99) == Crop(0, 0, 77, 99)
    assert field_of_view("trained", 480, 640) == trained_view(480, 640)


def test_an_unknown_field_of_view_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'wide'.*trained, full"):
        field_of_view("wide", 480, 640)


@pytest.mark.parametrize("name", ["trained", "full"])
@pytest.mark.parametrize(("height", "width"), [(31, 640), (480, 31), (0, 0), (1, 1)])
def test_a_frame_under_32_pixels_is_refused_with_its_size(name, height, width):
    with pytest.raises(FrameError, match=rf"{width}x{height}.*32"):
        field_of_view(name, height, width)


@pytest.mark.parametrize("grid", [(224, 224), (100, 300), (700, 900)])
@pytest.mark.parametrize("crop", [Crop(21, 28, 438, 584), Crop(0, 0, 480, 640), Crop(7, 100, 201, 133)])
def test_the_map_is_where_cv2_resize_puts_each_pixel(crop, grid):
    """A ramp survives bilinear resizing: each new pixel holds the frame coordinate from which it came."""
    y, x = np.mgrid[:480, :640].astype(np.float32)
    to_frame = np.linalg.inv(crop.onto_grid(*grid))
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    came_from = to_frame @ np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    for axis, ramp in enumerate((x, y)):
        view = ramp[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        small = cv2.resize(view, grid[::-1], interpolation=cv2.INTER_LINEAR)
        inside = np.clip(came_from[axis].reshape(grid), view.min(), view.max())  # cv2 repeats the border
        np.testing.assert_allclose(small, inside, atol=0.02)


def test_a_bright_spot_moves_to_where_the_map_says():
    crop = trained_view(480, 640)
    y, x = np.mgrid[:480, :640]
    for u, v in [(100.0, 80.0), (320.5, 240.25), (590.0, 440.0)]:
        frame = np.exp(-((x - u) ** 2 + (y - v) ** 2) / 50.0).astype(np.float32)
        view = frame[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        small = cv2.resize(view, (224, 224), interpolation=cv2.INTER_AREA).astype(np.float64)
        rows, columns = np.mgrid[:224, :224]
        centroid = (np.sum(columns * small) / small.sum(), np.sum(rows * small) / small.sum())
        np.testing.assert_allclose(centroid, (crop.onto_grid(224, 224) @ (u, v, 1))[:2], atol=0.02)


@pytest.mark.parametrize("crop", [Crop(21, 28, 438, 584), Crop(140, 0, 360, 480)])
def test_points_project_through_the_new_matrices_to_the_same_place(crop):
    new_k, new_p = camera_through(crop.onto_grid(224, 224), K, P)
    assert new_k.shape == (9,)
    assert new_p.shape == (12,)
    assert new_k.dtype == new_p.dtype == np.float64
    points = np.random.default_rng(1).uniform((-2, -1.5, 0.5), (2, 1.5, 8), (50, 3))
    for point in points:
        for old, new, homogeneous in ((K, new_k, point), (P, new_p, np.append(point, 1.0))):
            u, v, w = np.reshape(old, (3, -1)) @ homogeneous
            u_new, v_new, w_new = new.reshape(3, -1) @ homogeneous
            # a pixel's middle, in shares of the rectangle, does not move
            assert (u_new / w_new + 0.5) / 224 == pytest.approx((u / w + 0.5 - crop.left) / crop.width)
            assert (v_new / w_new + 0.5) / 224 == pytest.approx((v / w + 0.5 - crop.top) / crop.height)


def test_the_corners_of_the_rectangle_are_the_corners_of_the_grid():
    map_ = Crop(21, 28, 438, 584).onto_grid(224, 224)
    np.testing.assert_allclose(map_ @ (27.5, 20.5, 1), (-0.5, -0.5, 1))
    np.testing.assert_allclose(map_ @ (28 + 584 - 0.5, 21 + 438 - 0.5, 1), (223.5, 223.5, 1))


def test_the_whole_frame_on_its_own_grid_changes_nothing():
    new_k, new_p = camera_through(Crop(0, 0, 480, 640).onto_grid(480, 640), K, P)
    np.testing.assert_allclose(new_k, K)
    np.testing.assert_allclose(new_p, P)


def test_the_kinect_has_the_training_focal_length_at_the_network_input():
    k, _ = camera_through(trained_view(480, 640).onto_grid(224, 224), K, P)
    assert k[0] == pytest.approx(198.9, rel=2e-3)
    assert k[4] == pytest.approx(265.8, rel=2e-3)
