"""Folder of a training run: what it was begun with, its state, its log."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_file, atomic_write
from fastdepth_ros.jobs.job_folder import JobFolder

STATE = "state.pt"


class RunFolder:
    """`run.json` (recipe, network, data), `state.pt` (to resume from), checkpoints, logs and pictures.

    Args:
        begun_with: everything that defines the run; a folder that holds results of another run is refused.
        writes: whether this process writes; of several processes of a run, one does.

    Raises:
        FastDepthError: the folder holds another run, its `run.json` is damaged, or another process writes to it.
    """

    def __init__(self, path: Path, begun_with: Mapping[str, Any], *, writes: bool = True) -> None:
        self.path = path
        self._job = JobFolder(path, begun_with, file="run.json", kind="run")
        (self._job.claim if writes else self._job.compare)(has_results=(path / STATE).exists())

    def release(self) -> None:
        """Let other processes write to the folder."""
        self._job.release()

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all."""
        with atomic_file(self.path / STATE) as partial:
            torch.save(dict(state), partial)

    def load_state(self, device: torch.device) -> dict[str, Any] | None:
        """State of the last save, None for a new run.

        Raises:
            FastDepthError: the file is damaged.
        """
        file = self.path / STATE
        if not file.exists():
            return None
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except (EOFError, OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise FastDepthError(f"{file} is damaged ({error}); remove it, and the run begins anew") from error

    def write_log(self, rows: Sequence[Mapping[str, float]]) -> None:
        """`log.csv`, one row an epoch, and the newest row for TensorBoard."""
        self.write_table(rows)
        with SummaryWriter(str(self.path / "tensorboard")) as board:
            for name, value in rows[-1].items():
                board.add_scalar(name, value, int(rows[-1]["epoch"]))

    def write_table(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write `log.csv`, one row an epoch; one that holds these rows is left alone."""
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
        file, content = self.path / "log.csv", text.getvalue().encode()
        if not file.exists() or file.read_bytes() != content:
            atomic_write(file, content)
