"""Rooms become a data set: exact depth, resumed where a killed run stopped."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.cli import main
from fastdepth_ros.data.datasets import open_dataset
from fastdepth_ros.data.synthetic import room_sequence
from fastdepth_ros.data.synthetic.dataset import FIRST_SEED, HALF_KINECT, write_rooms


def test_no_room_and_no_view_are_refused(tmp_path, capsys):
    for option in ("--count", "--views"):
        assert main(["rooms", option, "0", "--out", str(tmp_path / "none")]) == 1
        assert "ask for at least 1 of each" in capsys.readouterr().err


def test_the_pairs_are_what_the_rooms_show_and_what_is_there_stays(tmp_path, capsys):
    assert main(["rooms", "--count", "1", "--views", "1", "--out", str(tmp_path)]) == 0
    assert "1 rooms of 1 views, 1 of them rendered now" in capsys.readouterr().out
    before = (tmp_path / "depth" / "00000-0.png").stat().st_mtime_ns
    assert write_rooms(tmp_path, 2, 1) == 1
    assert (tmp_path / "depth" / "00000-0.png").stat().st_mtime_ns == before
    pairs = open_dataset("folder", tmp_path, "train")
    assert len(pairs) == 2
    seen = list(room_sequence(1, seed=FIRST_SEED + 1, camera=HALF_KINECT))[0]
    np.testing.assert_allclose(pairs[1].depth, seen.depth, atol=6e-4)  # millimeters
    assert np.abs(pairs[1].rgb.astype(int) - seen.rgb).mean() < 3  # JPEG


@pytest.mark.parametrize("size", [(0, 1), (1, 0)])
def test_no_rooms_or_no_views_are_refused(tmp_path, size):
    with pytest.raises(ValueError, match="at least 1"):
        write_rooms(tmp_path, *size)
