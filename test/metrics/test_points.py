"""Coverage of a surface by points, and wrong cells of a grid."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.metrics.points import covered_share, wrong_cells


def test_a_surface_is_covered_where_points_are_near_each_cell_once():
    y, z = np.mgrid[-1:1:0.02, 1:2:0.02]
    wall = np.stack([np.zeros(y.size), y.ravel(), z.ravel()], axis=1)
    assert covered_share(wall, wall) == 1
    assert covered_share(wall + [0.25, 0, 0], wall) == 0
    half = covered_share(wall[wall[:, 1] < 0], wall, within_m=0.03)
    assert 0.4 < half < 0.6
    assert covered_share(np.empty((0, 3)), wall) == 0 and np.isnan(covered_share(wall, np.empty((0, 3))))
    dense = np.concatenate([wall, np.repeat(wall[:50], 100, axis=0)])  # many points of a cell are one cell
    assert covered_share(wall[wall[:, 1] < 0], dense, within_m=0.03) == half


def test_cells_far_from_true_ones_are_false_and_unmarked_ones_missed():
    true = np.zeros((20, 20), bool)
    true[5, 5:15] = True
    marked = np.zeros_like(true)
    marked[6, 5:8], marked[15, 2] = True, True
    false, missed = wrong_cells(marked, true, true)
    assert np.argwhere(false).tolist() == [[15, 2]]
    assert np.argwhere(missed)[:, 1].tolist() == list(range(9, 15))
