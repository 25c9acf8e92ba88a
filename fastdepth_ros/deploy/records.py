"""Records of tuning: one line of JSON per trial, in one file per target, which grows and is read again.

A trial names a kernel by its shape and a tile, so the records hold for any weights of the same channels.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastdepth_ros.deploy.schedules import Tile
from fastdepth_ros.deploy.targets import BuildTarget
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One measurement; `ms` is None where the tile did not run, and `error` says why."""

    kernel: str
    tile: Tile
    ms: float | None
    error: str = ""


@dataclass
class Records:
    """The trials of one network on one target.

    Args:
        path: the file; its first line names the network and the target.
    """

    path: Path
    trials: list[Trial] = field(default_factory=list)

    def best(self) -> dict[str, Trial]:
        """The fastest trial of each kernel."""
        found: dict[str, Trial] = {}
        for trial in sorted(
            (trial for trial in self.trials if trial.ms is not None), key=lambda trial: trial.ms or 0.0
        ):
            found.setdefault(trial.kernel, trial)
        return found

    def tiles(self) -> dict[str, Tile]:
        return {name: trial.tile for name, trial in self.best().items()}

    def add(self, trial: Trial) -> None:
        """Append a trial, on disk at once."""
        self.trials.append(trial)
        with self.path.open("a") as file:
            file.write(_line(trial))
            file.flush()
            os.fsync(file.fileno())

    def write_best(self, path: Path) -> None:
        """The header and each kernel's fastest trial alone, small enough to ship."""
        header = self.path.read_text(encoding="utf-8").partition("\n")[0]
        atomic_write(path, header + "\n" + "".join(_line(trial) for trial in self.best().values()))


def records_path(folder: Path, target: BuildTarget) -> Path:
    return folder / f"tuning.{target.name}.jsonl"


def read_records(path: Path, target: BuildTarget, kernels: Iterable[str]) -> Records:
    """The records in a file.

    Raises:
        FastDepthError: unreadable, of another network or of another target.
    """
    lines = path.read_text(errors="replace").splitlines()
    expected = _header(target, kernels)
    try:
        found, *trials = (json.loads(line) for line in lines)
        records = Records(path, [Trial(**{**trial, "tile": Tile(**trial["tile"])}) for trial in trials])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise FastDepthError(f"{path} holds no records of tuning: {error}") from error
    for key, what in (("target", "target"), ("kernels", "network")):
        if not isinstance(found, dict) or found.get(key) != expected[key]:
            raise FastDepthError(
                f"{path} was tuned for another {what}; tune this one: fastdepth tune --db another folder"
            )
    return records


def open_records(path: Path, target: BuildTarget, kernels: Iterable[str]) -> Records:
    """The records in a file to which trials will be added; a new file where there is none.

    A last line that a kill cut short is dropped.
    """
    names = list(kernels)
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content or (path.exists() and not content):
        LOG.warning("%s is cut short after %d bytes: what it lost is measured anew", path, len(whole))
    if not whole:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(_header(target, names)) + "\n")
    elif whole != content:
        atomic_write(path, whole)
    return read_records(path, target, names)


def _header(target: BuildTarget, kernels: Iterable[str]) -> dict[str, Any]:
    return {"target": dict(target.words), "kernels": sorted(kernels)}


def _line(trial: Trial) -> str:
    return json.dumps({key: value for key, value in asdict(trial).items() if value != ""}) + "\n"
