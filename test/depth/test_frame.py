"""Frames with and without a picture."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.depth.frame import Frame

NOISE = np.random.default_rng(0).integers(0, 4, (120, 160, 3), dtype=np.uint8)
RAMP = np.repeat(np.arange(160, dtype=np.uint8)[None, :, None], 120, axis=0)


@pytest.mark.parametrize("level", [0, 90, 252])
@pytest.mark.parametrize("order", ["bgr", "mono", "rgba"])
def test_one_color_with_the_noise_of_a_sensor_is_no_picture(level, order):
    pixels = NOISE + np.uint8(level)
    if order == "mono":
        pixels = pixels[..., 0]
    if order == "rgba":
        pixels = np.dstack([pixels, RAMP])  # alpha shows nothing
    assert Frame(pixels, order).is_blank


def test_a_dim_room_is_a_picture():
    dim = (RAMP // 8).repeat(3, axis=2) + NOISE
    assert not Frame(dim, "rgb").is_blank
    assert not Frame(dim[..., 0], "mono").is_blank
