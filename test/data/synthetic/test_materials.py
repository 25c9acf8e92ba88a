"""The tiles that materials are drawn with."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.data.synthetic.materials import TEXTURES, paint
from fastdepth_ros.data.synthetic.scene import Material


@pytest.mark.parametrize("name", sorted(TEXTURES))
def test_a_tile_is_textured_and_the_same_for_the_same_seed(name):
    material = Material(name, (0.5, 0.4, 0.3), (0.2, 0.3, 0.6), seed=4)
    tile = paint(material)
    assert tile.shape == (512, 512, 3)
    assert tile.dtype == np.uint8
    assert tile.std(axis=(0, 1)).max() > 1
    np.testing.assert_array_equal(tile, paint(material))


def test_an_unknown_texture_names_the_known_ones():
    with pytest.raises(ValueError, match="'marble' is none of plain"):
        paint(Material("marble", (0.5, 0.5, 0.5)))
