"""The grid of obstacles: what is seen is marked, what is crossed is cleared, the floor is free."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.view.cloud_picture import SIZE_PX, cloud_picture
from fastdepth_ros.view.occupancy import PIXELS, OccupancyGrid, grid_picture

ORIGIN, SHAPE = np.array([0.0, 0.0]), (60, 40)
POSE = np.eye(4)
POSE[:3] = [[0, 0, 1, 0.55], [-1, 0, 0, 2.05], [0, -1, 0, 1.05]]  # looks along world x, 1.05 m over the floor


def wall(x_m: float, low_m: float = 0.3, high_m: float = 1.4) -> np.ndarray:
    """Points of a wall across the view at a world x, in the camera's frame."""
    y, z = np.mgrid[1.5:2.6:0.02, low_m:high_m:0.02]
    world = np.stack([np.full(y.size, x_m), y.ravel(), z.ravel()], axis=1)
    return (world - POSE[:3, 3]) @ POSE[:3, :3]


def test_a_wall_is_marked_the_way_to_it_free_and_what_is_behind_unknown():
    grid = OccupancyGrid(ORIGIN, SHAPE)
    grid.add(wall(2.55), POSE)
    occupied, known = grid.occupied, grid.known
    assert occupied[25, 16:25].all() and not occupied[:24].any() and not occupied[27:].any()
    assert known[8:24, 20].all() and not known[28:].any()


def test_a_wall_that_is_seen_through_is_cleared_again():
    grid = OccupancyGrid(ORIGIN, SHAPE)
    grid.add(wall(1.55, 0.8, 1.3), POSE)
    assert grid.occupied[15, 20]
    for _ in range(6):
        grid.add(wall(2.55), POSE)
    assert not grid.occupied[15, 18:23].any() and grid.occupied[25, 20]


def test_floor_far_points_and_single_points_mark_nothing():
    grid = OccupancyGrid(ORIGIN, SHAPE)
    grid.add(wall(2.55, 0.0, 0.1), POSE)
    grid.add(wall(4.55), POSE)
    grid.add(wall(1.55)[:1], POSE)
    assert not grid.occupied.any()


def test_the_picture_has_a_color_for_each_kind_of_cell():
    kinds = np.zeros((4, *SHAPE), bool)
    for number, kind in enumerate(kinds):
        kind[number * 10, 5] = True
    occupied, known, false, missed = kinds
    picture = grid_picture("grid", occupied, known, false, missed, POSE, ORIGIN)
    assert picture.shape == (40 * PIXELS + 26, 60 * PIXELS, 3)
    row = picture[26 + (39 - 5) * PIXELS + 2]
    colors = [tuple(row[number * 10 * PIXELS + 2].tolist()) for number in range(4)]
    assert len(set(colors)) == 4 and (picture == (0, 140, 0)).all(axis=-1).any()


def test_a_cloud_is_seen_from_above_and_from_the_side():
    points = np.array([[1.0, -0.5, 2.0]])
    picture = cloud_picture(points, reach_m=6.0)
    above, side = picture[:SIZE_PX], picture[SIZE_PX:]
    colored = [np.argwhere(np.ptp(part.astype(int), axis=-1) > 40) for part in (above, side)]
    per_m = SIZE_PX / 6
    np.testing.assert_allclose(colored[0], [[(1 + 3) * per_m, 2 * per_m]], atol=1)
    np.testing.assert_allclose(colored[1], [[(2 - 0.5) * per_m, 2 * per_m]], atol=1)
    assert cloud_picture(np.empty((0, 3))).shape == picture.shape
