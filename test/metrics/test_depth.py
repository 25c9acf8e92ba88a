"""Depth errors against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastdepth_ros.metrics.depth import NAMES, depth_errors, mean_errors, pooled_errors

TRUTH = np.array([[1.0, 1.0], [4.0, 0.0]], np.float32)
DEPTH = np.array([[1.0, 2.0], [3.0, 77.0]], np.float32)  # the last has no truth


def test_every_figure_is_the_one_worked_out_by_hand():
    """Differences 0, 1, 1; ratios 1, 2, 4/3; 1.25, 1.5625 and 1.953 are the limits."""
    assert depth_errors(DEPTH, TRUTH) == pytest.approx(
        {
            "rmse": math.sqrt(2 / 3),
            "mae": 2 / 3,
            "rel": (0 + 1 + 1 / 4) / 3,
            "log10": (0 + math.log10(2) + math.log10(4 / 3)) / 3,
            "irmse": math.sqrt((0 + 1 / 4 + (1 / 12) ** 2) / 3),
            "imae": (0 + 1 / 2 + 1 / 12) / 3,
            "delta1": 1 / 3,
            "delta2": 2 / 3,
            "delta3": 2 / 3,
        }
    )


def test_a_perfect_prediction_has_no_error():
    errors = depth_errors(TRUTH, TRUTH)
    assert [errors[name] for name in ("rmse", "mae", "rel", "log10")] == [0, 0, 0, 0]
    assert [errors[f"delta{power}"] for power in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize(("ratio", "deltas"), [(1.24, (1, 1, 1)), (1.25, (0, 1, 1)), (1.5625, (0, 0, 1)),
                                               (1.95, (0, 0, 1)), (1.96, (0, 0, 0))])  # fmt: skip
def test_a_ratio_counts_below_its_limit_and_not_at_it_in_both_directions(ratio, deltas):
    one, other = np.array([[2.0]]), np.array([[2.0 * ratio]])
    for errors in (depth_errors(one, other), depth_errors(other, one)):
        assert tuple(errors[f"delta{power}"] for power in (1, 2, 3)) == deltas


def test_a_prediction_of_zero_is_a_large_finite_error():
    errors = depth_errors(np.zeros((2, 2), np.float32), TRUTH)
    assert all(math.isfinite(value) for value in errors.values())
    assert errors["rmse"] == pytest.approx(math.sqrt((1 + 1 + 16) / 3))
    assert errors["mae"] == pytest.approx(2)
    assert errors["rel"] == pytest.approx(1)
    assert errors["delta3"] == 0


def test_there_is_no_cap_on_depth():
    assert depth_errors(np.array([[50.0]]), np.array([[20.0]]))["mae"] == 30


def test_what_has_no_truth_does_not_count_even_if_it_is_nan():
    depth = DEPTH.copy()
    depth[1, 1] = np.nan
    assert depth_errors(depth, TRUTH) == depth_errors(DEPTH, TRUTH)
    unknown = np.where(TRUTH == 0, np.nan, TRUTH)
    assert depth_errors(DEPTH, unknown) == depth_errors(DEPTH, TRUTH)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_is_refused(bad):
    depth = DEPTH.copy()
    depth[0, 1] = bad
    with pytest.raises(ValueError, match="1 predicted"):
        depth_errors(depth, TRUTH)


def test_other_shapes_are_refused_with_both():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        depth_errors(DEPTH, np.ones((2, 3)))


def test_an_image_without_truth_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        depth_errors(DEPTH, np.zeros((2, 2)))


def test_the_mean_counts_each_image_the_same():
    """Not each pixel: the second image has one pixel, the first three. So do the authors."""
    small = depth_errors(np.array([[5.0]]), np.array([[2.0]]))
    mean = mean_errors([depth_errors(DEPTH, TRUTH), small])
    assert set(mean) == {*NAMES, "images"}
    assert mean["images"] == 2
    assert mean["rmse"] == pytest.approx((math.sqrt(2 / 3) + 3) / 2)
    assert mean["rel"] == pytest.approx((1.25 / 3 + 1.5) / 2)
    assert mean["delta1"] == pytest.approx((1 / 3 + 0) / 2)


def test_the_mean_takes_a_stream_and_refuses_an_empty_one():
    assert mean_errors(iter([depth_errors(DEPTH, TRUTH)]))["images"] == 1
    with pytest.raises(ValueError, match="no image"):
        mean_errors([])


def test_pooling_equals_the_errors_over_all_pixels_together():
    rng = np.random.default_rng(0)
    sizes = [(3, 5), (20, 7), (1, 2)]
    pairs = [(rng.uniform(0.5, 9, size), rng.uniform(0.5, 9, size)) for size in sizes]
    together = depth_errors(
        np.concatenate([depth.ravel() for depth, _ in pairs]), np.concatenate([truth.ravel() for _, truth in pairs])
    )
    pooled = pooled_errors([depth_errors(*pair) for pair in pairs], [depth.size for depth, _ in pairs])
    assert pooled == pytest.approx(together)
    with pytest.raises(ValueError, match="no image"):
        pooled_errors([], [])
