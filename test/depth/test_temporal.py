"""The filter over time: steadies what stands still, leaves nothing behind what moves."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.depth.temporal import GATE, MAX_GAP_NS, TemporalFilter, blended
from fastdepth_ros.metrics.depth import temporal_noise

NOISE = 0.01  # of the depth
NEAR_M, FAR_M = 2.0, 4.0


def noisy(truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return (truth * generator.normal(1, NOISE, truth.shape)).astype(np.float32)


def test_a_scene_that_stands_still_becomes_steadier_as_its_strength_says():
    generator, still = np.random.default_rng(0), TemporalFilter(0.8)
    truth = np.full((40, 40), FAR_M)
    raw = np.stack([noisy(truth, generator) for _ in range(60)])
    filtered = np.stack([still(depth.copy(), "view", number) for number, depth in enumerate(raw)])
    before, after = temporal_noise(raw[20:]), temporal_noise(filtered[20:])
    ideal = np.sqrt((1 - 0.8) / (1 + 0.8))  # of white noise through a recursive filter
    assert after["std_m"] / before["std_m"] == pytest.approx(ideal, abs=0.05)
    assert filtered[20:].mean() == pytest.approx(FAR_M, rel=2e-3)


def test_an_edge_that_moves_leaves_nothing_behind():
    generator, moving = np.random.default_rng(0), TemporalFilter(0.9)
    for number in range(30):
        truth = np.full((20, 120), FAR_M)
        truth[:, 3 * number : 3 * number + 20] = NEAR_M
        filtered = moving(noisy(truth, generator), "view", number)
        assert np.abs(filtered / truth - 1).max() < 6 * NOISE  # neither of the depths of the other, nor between


def test_a_slow_change_is_followed_with_the_lag_that_its_strength_says():
    strength, step = 0.8, 0.002
    ramp = TemporalFilter(strength)
    for number in range(60):
        truth = np.full((4, 4), 2 * (1 + step) ** number, np.float32)
        filtered = ramp(truth, "view", number)
    lag = np.log(truth[0, 0] / filtered[0, 0]) / np.log(1 + step)  # images
    assert lag == pytest.approx(strength / (1 - strength), rel=0.1)


def test_invalid_pixels_are_neither_filled_nor_spread():
    previous = np.array([[np.nan, 2, 2]], np.float32)
    depth = np.array([[2.0, np.nan, 2.1]], np.float32)
    found = blended(previous, depth, 0.5)
    assert found[0, 0] == 2 and np.isnan(found[0, 1]) and 2.05 < found[0, 2] < 2.1
    assert found.dtype == np.float32


def test_a_change_over_the_gate_is_taken_as_it_is():
    previous, depth = np.full((1, 2), 2, np.float32), np.array([[2 / (1 - GATE * 1.01), 2 / (1 + GATE * 1.01)]])
    np.testing.assert_array_equal(blended(previous, depth.astype(np.float32), 0.9), depth.astype(np.float32))


@pytest.mark.parametrize("strength", [0.3, 0.9])
def test_no_pixel_is_ever_drawn_further_than_the_gate_lets_it(strength):
    previous = np.geomspace(0.5, 20, 100_001, dtype=np.float32)
    depth = np.full_like(previous, 3.0)
    drawn = np.abs(blended(previous, depth, strength) / depth - 1).max()
    assert drawn == pytest.approx(strength * GATE * 2 / np.sqrt(27), rel=1e-3)  # the peak of c (1 - (c / GATE)^2)


@pytest.mark.parametrize(
    ("view", "stamp_ns"),
    [("other", 1), ("view", -1), ("view", MAX_GAP_NS + 1), ("view", None)],
    ids=["another view", "time goes back", "time jumps", "no stamp any more"],
)
def test_it_begins_anew(view, stamp_ns):
    filtered = TemporalFilter(0.9)
    filtered(np.full((2, 2), 2, np.float32), "view", 0)
    depth = np.full((2, 2), 2.05, np.float32)
    np.testing.assert_array_equal(filtered(depth.copy(), view, stamp_ns), depth)
    again = filtered(np.full((2, 2), 2, np.float32), view, stamp_ns)
    assert (again > 2).all()  # and goes on from there
