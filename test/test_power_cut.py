"""A file of a job that a power cut left empty or half: the job names it, and goes on with what is whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from fastdepth_ros.bags.request import Summary
from fastdepth_ros.bags.writer import PartsFolder, PartWriter
from fastdepth_ros.data.folder_writer import FolderWriter
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_file, atomic_write

KEPT = pytest.mark.parametrize("kept", [0.0, 0.5], ids=["empty", "half"])


def cut(path: Path, kept: float) -> None:
    os.truncate(path, int(path.stat().st_size * kept))


def begun(tmp_path: Path, name: str = "out") -> PartsFolder:
    """A folder with two parts."""
    folder = PartsFolder(tmp_path / name, {"model": "a", "precision": "fp32"})
    folder.claim_parts()
    for number in range(2):
        with PartWriter(folder.part(number), [], zstd=False) as part:
            part.close(Summary(frames_in=3, frames_out=3))
    folder.release()
    return folder


@KEPT
@pytest.mark.parametrize("file", ["000001.mcap", "000001.json"])
def test_a_damaged_part_is_named_and_computed_anew(tmp_path, caplog, file, kept):
    folder = begun(tmp_path)
    cut(folder.path / file, kept)
    folder.claim_parts()
    assert folder.done(1) is None and folder.done(0) == Summary(frames_in=3, frames_out=3)
    folder.release()
    assert str(folder.path / file) in caplog.text


@KEPT
def test_parts_of_an_unknown_job_are_named_and_computed_anew(tmp_path, caplog, kept):
    folder, other = begun(tmp_path), begun(tmp_path, "other")
    cut(folder.path / "job.json", kept)
    folder.claim_parts()
    other.claim_parts()
    assert folder.done(0) is None and other.done(0) is not None
    for each in (folder, other):
        each.release()
    assert str(folder.path / "job.json") in caplog.text
    assert json.loads((folder.path / "job.json").read_text())["model"] == "a"


def test_a_whole_job_of_other_options_is_refused(tmp_path):
    begun(tmp_path)
    with pytest.raises(FastDepthError, match="precision differ"):
        PartsFolder(tmp_path / "out", {"model": "a", "precision": "int8"}).claim_parts()


@KEPT
def test_of_labeled_pairs_those_with_a_damaged_file_are_written_anew(tmp_path, kept):
    with FolderWriter(tmp_path, {"network": "a"}) as writer:
        for name in ("a", "b", "c"):
            writer.add(name, np.full((40, 60, 3), 90, np.uint8), np.full((40, 60), 2.0))
    cut(tmp_path / "rgb" / "a.jpg", kept)
    cut(tmp_path / "depth" / "b.png", kept)
    with FolderWriter(tmp_path, {"network": "a"}) as again:
        assert [again.has(name) for name in ("a", "b", "c")] == [False, False, True]
    cut(tmp_path / "job.json", kept)
    with pytest.raises(FastDepthError, match=r"job\.json is damaged"):
        FolderWriter(tmp_path, {"network": "a"})


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    path = tmp_path / "figures.json"
    with atomic_file(path) as first, atomic_file(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and [one.name for one in tmp_path.iterdir()] == ["figures.json"]


def test_a_symlink_stays_and_its_file_keeps_its_mode(tmp_path):
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    atomic_write(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o640
