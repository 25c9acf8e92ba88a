"""Folder of a training run: its settings, its state, and its results so far."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import whole_file, write_whole

STATE = "state.pt"


class RunFolder:
    """`run.json` (recipe, network, data), `state.pt` (to resume from), checkpoints, logs and pictures.

    Args:
        claim: what defines the run; a folder that holds another run's claim is refused.
        writes: whether this is the process that writes; of several, one is.

    Raises:
        FastDepthError: the folder holds another run, or its `run.json` is damaged.
    """

    def __init__(self, path: Path, claim: Mapping[str, Any], *, writes: bool = True) -> None:
        self.path = path
        asked = json.loads(json.dumps(claim))
        file = path / "run.json"
        try:
            found = json.loads(file.read_text()) if file.exists() else asked
        except ValueError as error:
            raise FastDepthError(
                f"{file} is damaged ({error}): what run the folder holds is lost; choose another"
            ) from error
        if found != asked:
            raise FastDepthError(f"{path} holds another run ({file.name} differs); choose another folder")
        if not writes:
            return
        path.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(asked, indent=2) + "\n")

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all."""
        with whole_file(self.path / STATE) as partial:
            torch.save(dict(state), partial)

    def load_state(self, device: torch.device) -> dict[str, Any] | None:
        """The state of the last save, None for a run that has not begun.

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
            write_whole(file, content)
