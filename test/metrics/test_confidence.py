"""Figures of a confidence, beside those that can be said by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.metrics.confidence import ConfidenceFigures

RNG = np.random.default_rng(0)
PIXELS = 200_000


def figures(depth, truth, confidence):
    found = ConfidenceFigures()
    for part in np.array_split(np.arange(len(depth)), 3):  # as images
        found.add(depth[part][None], truth[part][None], confidence[part][None])
    return found.figures()


def drawn(p):
    """Depth that is right with the probability p, else off by a factor of 1.6 either way."""
    truth = np.exp(RNG.uniform(-1, 2, p.shape))
    wrong = truth * 1.6 ** RNG.choice([-1, 1], p.shape)
    return np.where(RNG.random(p.shape) < p, truth * 1.05, wrong), truth


def test_the_true_probability_is_calibrated_and_beats_other_confidences():
    p = RNG.uniform(0.05, 0.95, PIXELS)
    found = figures(*drawn(p), p)
    assert found["brier"] == pytest.approx((p * (1 - p)).mean(), abs=0.003)
    assert found["ece"] < 0.01 and found["delta1"] == pytest.approx(0.5, abs=0.01)
    assert found["brier"] < found["by_depth"]["brier"] - 0.03
    assert found["by_depth"]["brier"] <= found["constant"]["brier"] + 1e-9
    assert found["area_oracle"] < found["area"] < found["by_depth"]["area"] <= found["constant"]["area"] + 1e-3
    for tenth in found["tenths"]:
        assert tenth["delta1"] == pytest.approx(tenth["confidence"], abs=0.02)


def test_the_most_confident_pixels_are_those_of_the_highest_confidence():
    truth = np.full(1000, 2.0)
    confidence = np.linspace(0, 1, 1000)
    depth = np.where(confidence > 0.5, 2.1, 4.0)
    shares = figures(depth, truth, confidence)["shares"]
    assert shares["0.5"]["delta1"] == pytest.approx(1, abs=0.01) and shares["1"]["delta1"] == pytest.approx(0.5)
    assert shares["0.5"]["rmse"] == pytest.approx(0.1, abs=0.02)
    assert shares["1"]["rmse"] == pytest.approx(np.sqrt(0.5 * 0.01 + 0.5 * 4))


def test_a_confidence_that_says_the_same_of_all_is_the_constant():
    p = np.full(PIXELS, 0.7)
    found = figures(*drawn(p), p)
    assert found["brier"] == pytest.approx(found["constant"]["brier"], abs=1e-3)
    assert found["area"] == pytest.approx(found["constant"]["area"], rel=1e-3)
    assert len(found["tenths"]) == 1


def test_a_table_by_depth_knows_what_depth_tells():
    truth = np.repeat([1.0, 4.0], PIXELS // 2)
    depth = np.where(truth == 4, np.where(RNG.random(PIXELS) < 0.2, 4.0, 2.5), 1.0)
    found = figures(depth, truth, np.full(PIXELS, 0.6))
    assert found["by_depth"]["brier"] < 0.01 < found["constant"]["brier"]


def test_unknown_truth_does_not_count_and_a_missing_depth_is_wrong():
    found = ConfidenceFigures()
    found.add(np.array([[np.nan, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 2.0, 0.0]]), np.array([[0.0, 0.0, 1.0, 0.5]]))
    assert found.figures()["pixels"] == 3 and found.figures()["brier"] == 0
    with pytest.raises(FastDepthError, match="no pixel"):
        ConfidenceFigures().figures()
