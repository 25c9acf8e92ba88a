"""Flicker of a static scene."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.metrics.depth import temporal_noise


def test_it_is_the_standard_deviation_over_time_of_each_pixel():
    generator = np.random.default_rng(0)
    scene = np.linspace(1, 5, 400).reshape(20, 20)  # what differs from pixel to pixel is no flicker
    found = temporal_noise(scene + generator.normal(0, 0.05, (200, 20, 20)))
    assert found["std_m"] == pytest.approx(0.05, rel=0.05)
    assert found["std_p95_m"] == pytest.approx(0.054, rel=0.05)
    assert found["relative"] == pytest.approx(0.05 / 3, rel=0.1)
    assert (found["measured"], found["flickering"]) == (1, 0)
    assert temporal_noise(np.stack([scene] * 3))["std_m"] == 0


def test_pixels_that_have_no_depth_in_some_image_are_told_apart():
    depths = np.full((4, 2, 2), 3.0)
    depths[1, 0, 0] = np.nan
    depths[2, 0, 1] = np.inf
    depths[:, 1, 0] = 0
    found = temporal_noise(depths)
    assert (found["measured"], found["flickering"], found["std_m"]) == (0.25, 0.5, 0)


@pytest.mark.parametrize("depths", [np.ones((1, 3, 3)), np.ones((3, 3)), np.full((3, 2, 2), np.nan)])
def test_what_cannot_flicker_is_refused(depths):
    with pytest.raises(ValueError, match=r"flicker needs|no pixel"):
        temporal_noise(depths)
