"""Points of a depth image: where they lie, which are left out, and how a PointCloud2 holds them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastdepth_ros.depth.options import PointsOptions
from fastdepth_ros.depth.points import POINT_STEP, filtered_points, point_layout, points_of
from fastdepth_ros.errors import FastDepthError, FrameError

K = np.array([100.0, 0, 15.5, 0, 200, 11.5, 0, 0, 1])
OFF = {"max_slant_deg": 90, "min_cluster": 0}
ALL = PointsOptions(1, **OFF)
ROWS, COLUMNS = 24, 32


def wall(meters: float = 2.0) -> np.ndarray:
    return np.full((ROWS, COLUMNS), meters, np.float32)


def kept(depth: np.ndarray, **options) -> np.ndarray:
    """Mask of the pixels that give a point."""
    points = filtered_points(depth, K, PointsOptions(**{"stride": 1, "organized": True, **OFF, **options}))
    valid = np.isfinite(points).all(axis=-1)
    assert (np.isnan(points).all(axis=-1) == ~valid).all()
    return valid


def test_a_point_lies_where_the_camera_matrix_says():
    depth = np.full((ROWS, COLUMNS), np.nan, np.float32)
    depth[3, 5], depth[4, 6], depth[5, 7], depth[6, 8] = 2.0, 0.0, -1.0, np.inf
    points = filtered_points(depth, K, ALL)
    np.testing.assert_allclose(points, [[[(5 - 15.5) * 2 / 100, (3 - 11.5) * 2 / 200, 2, 1]]], rtol=1e-6)
    assert points.dtype == np.float32


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_a_square_of_pixels_gives_one_point_at_its_center(stride):
    small = np.random.default_rng(0).uniform(1, 3, (ROWS // stride, COLUMNS // stride)).astype(np.float32)
    depth = np.zeros((ROWS, COLUMNS), np.float32)
    rows, columns = (side * stride for side in small.shape)
    depth[:rows, :columns] = small.repeat(stride, 0).repeat(stride, 1)
    points = filtered_points(depth, K, PointsOptions(stride, organized=True, **OFF))
    onto_squares = np.array([[1 / stride, 0, 0.5 / stride - 0.5], [0, 1 / stride, 0.5 / stride - 0.5], [0, 0, 1]])
    direct = filtered_points(small, onto_squares @ K.reshape(3, 3), PointsOptions(1, organized=True, **OFF))
    np.testing.assert_allclose(points, direct, atol=1e-6)


def test_a_list_of_points_holds_the_valid_ones_and_a_grid_nan_for_the_rest():
    depth = wall()
    depth[:, 16:] = np.nan
    listed, grid = filtered_points(depth, K, ALL), filtered_points(depth, K, PointsOptions(1, organized=True))
    assert listed.shape == (1, ROWS * 16, 4) and np.isfinite(listed).all()
    assert grid.shape == (ROWS, COLUMNS, 4) and np.isnan(grid[:, 16:]).all()
    np.testing.assert_array_equal(listed[0], grid[np.isfinite(grid[..., 2])])


def test_points_between_two_surfaces_are_left_out_and_a_floor_stays():
    depth = wall(4.0)
    depth[:, :10] = 2.0
    depth[:, 10:13] = 2.5, 3.0, 3.5  # what a network makes of an edge
    found = kept(depth, max_slant_deg=80)
    assert not found[:, 9:14].any() and found[:, 15:].all() and found[:, :8].all()
    assert kept(depth).all()
    floor = 1.3 / ((np.arange(ROWS) + 40) / 200)  # seen at 79 to 73 degrees from the vertical
    slanted = np.repeat(floor[:, None], COLUMNS, 1).astype(np.float32)
    assert kept(slanted, max_slant_deg=80).all() and not kept(slanted, max_slant_deg=70).any()


def test_an_invalid_neighbor_is_no_edge():
    depth = wall()
    depth[5, 5] = np.nan
    assert kept(depth, max_slant_deg=80).sum() == depth.size - 1


def test_speckles_are_left_out_by_the_number_of_their_points():
    depth = wall(4.0)
    depth[2:4, 2:4], depth[10:14, 10:14] = 1.0, 1.0
    assert kept(depth, min_cluster=4).all()
    assert (~kept(depth, min_cluster=5)).sum() == 4 and (~kept(depth, min_cluster=17)).sum() == 20


def test_range_and_confidence_leave_points_out():
    depth, confidence = wall(), np.full((ROWS, COLUMNS), 0.4, np.float32)
    depth[0], confidence[1] = 3.0, 0.9
    assert not kept(depth, max_m=2.5)[0].any() and kept(depth, max_m=2.5)[1:].all()
    points = filtered_points(depth, K, PointsOptions(1, min_confidence=0.5, **OFF), confidence)
    assert points.shape == (1, COLUMNS, 4) and np.allclose(points[..., 3], 0.9)
    assert np.allclose(filtered_points(depth, K, ALL)[..., 3], 1)


@pytest.mark.parametrize("k", [np.zeros(9), np.full(9, np.nan), np.diag([500.0, 0.0, 1.0])])
def test_a_matrix_that_is_no_cameras_gives_no_points(k):
    assert filtered_points(wall(), k, ALL).shape == (1, 0, 4)
    assert np.isnan(filtered_points(wall(), k, PointsOptions(organized=True))).all()


@pytest.mark.parametrize("depth", [np.full((ROWS, COLUMNS), 1e-30), np.full((ROWS, COLUMNS), 3e38), np.zeros((2, 2))])
def test_extreme_depth_gives_no_warning(depth):
    filtered_points(depth.astype(np.float32), np.eye(3) * 100, PointsOptions())


@pytest.mark.parametrize(
    "options", [{"stride": 0}, {"max_m": -1}, {"min_confidence": 1.1}, {"max_slant_deg": 91}, {"min_cluster": -1}]
)
def test_an_option_out_of_range_is_told(options):
    with pytest.raises(FastDepthError, match=next(iter(options))):
        PointsOptions(**options)


def message(points: np.ndarray, **changes) -> SimpleNamespace:
    fields = [SimpleNamespace(name=name, offset=offset, datatype=kind) for name, offset, kind in point_layout()]
    content = {"height": points.shape[0], "width": points.shape[1], "fields": fields, "is_bigendian": False,
               "point_step": POINT_STEP, "data": points.tobytes()}  # fmt: skip
    return SimpleNamespace(**{**content, **changes})


def test_a_message_gives_its_finite_points_back():
    depth = wall()
    depth[:, ::2] = np.nan
    for organized in (False, True):
        points = filtered_points(depth, K, PointsOptions(1, organized=organized, **OFF))
        np.testing.assert_array_equal(points_of(message(points)), filtered_points(depth, K, ALL)[0])


@pytest.mark.parametrize("changes", [{"point_step": 32}, {"is_bigendian": True}, {"fields": []}, {"data": b"123"}])
def test_a_cloud_of_another_layout_or_cut_short_is_refused(changes):
    with pytest.raises(FrameError, match="point cloud"):
        points_of(message(filtered_points(wall(), K, ALL), **changes))
