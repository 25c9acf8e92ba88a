"""A run folder or a search that a power cut damaged is refused by the name of the file."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastdepth_ros.prune.netadapt import PruneError, read_history  # noqa: E402
from fastdepth_ros.train.run_folder import RunError, RunFolder  # noqa: E402

KEPT = pytest.mark.parametrize("kept", [0.0, 0.5], ids=["empty", "half"])


@KEPT
@pytest.mark.parametrize("file", ["run.json", "state.pt"])
def test_a_damaged_file_of_a_run_is_named(tmp_path, file, kept):
    folder = RunFolder(tmp_path, {"recipe": "plain"})
    folder.save_state({"step": 3, "weights": torch.zeros(2000)})
    os.truncate(tmp_path / file, int((tmp_path / file).stat().st_size * kept))
    with pytest.raises(RunError, match=f"{file} is damaged"):
        RunFolder(tmp_path, {"recipe": "plain"}).load_state(torch.device("cpu"))


@KEPT
def test_a_damaged_history_of_a_search_is_named(tmp_path, kept):
    row = "iteration,group,cost,delta1,rmse,channels\n1,encoder.3,0.9,0.5,0.8,"
    (tmp_path / "history.csv").write_text(row[: int(len(row) * kept)])
    with pytest.raises(PruneError, match=r"history\.csv is damaged"):
        read_history(tmp_path / "history.csv")
