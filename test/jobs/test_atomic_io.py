"""Files and folders appear whole or not at all."""

from __future__ import annotations

from contextlib import suppress

import pytest

from fastdepth_ros.jobs.atomic_io import atomic_file, atomic_folder, atomic_write


def test_a_file_takes_its_name_at_the_end_and_keeps_its_suffix(tmp_path):
    path = tmp_path / "depth.npy"
    with atomic_file(path) as partial:
        partial.write_text("half")
        assert partial.suffix == ".npy" and not path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["depth.npy"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "log.csv"
    atomic_write(path, "ä")
    with suppress(OSError), atomic_file(path) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert path.read_bytes() == "ä".encode()
    assert [one.name for one in tmp_path.iterdir()] == ["log.csv"]


def test_a_folder_takes_its_name_at_the_end_for_everybody_to_read(tmp_path):
    with atomic_folder(tmp_path / "above" / "new") as folder:
        atomic_write(folder / "file", b"content")
        assert not (tmp_path / "above" / "new").exists()
    assert (tmp_path / "above" / "new").stat().st_mode & 0o777 == 0o755
    assert [one.name for one in (tmp_path / "above").iterdir()] == ["new"]


def test_a_folder_that_fails_leaves_nothing_and_one_that_exists_stays(tmp_path):
    with pytest.raises(OSError, match="full"), atomic_folder(tmp_path / "new"):
        raise OSError("full")
    assert not list(tmp_path.iterdir())
    atomic_write(tmp_path / "mine", "precious")
    with pytest.raises(FileExistsError, match="mine exists"), atomic_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").read_text() == "precious"
