"""NetAdapt (Yang et al., ECCV 2018): give up the resource step by step, each time where accuracy suffers least."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write
from fastdepth_ros.jobs.cores import logical_cores
from fastdepth_ros.jobs.job_folder import JobFolder
from fastdepth_ros.jobs.pool import Pool
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, load_fastdepth
from fastdepth_ros.prune.proposals import MULTIPLE, proposals
from fastdepth_ros.prune.resources import Resource
from fastdepth_ros.prune.trial import Training, Trial

Trials = Pool[Trial, "dict[str, float]"]


LOG = logging.getLogger(__name__)
HISTORY = "history.csv"


@dataclass(frozen=True)
class Search:
    """Options of NetAdapt.

    Args:
        resource: its name.
        budget: goal in the resource's unit.
        reduction: share of the start's cost that the first iteration takes away.
        decay: factor on that share from one iteration to the next.
        multiple: number that divides the channel counts.
    """

    resource: str
    budget: float
    reduction: float = 0.05
    decay: float = 0.97
    multiple: int = MULTIPLE

    def __post_init__(self) -> None:
        if not 0 < self.reduction < 1:
            raise FastDepthError(f"reduction is {self.reduction}, it is a share in (0, 1)")
        if not 0 < self.decay <= 1:
            raise FastDepthError(f"decay is {self.decay}, it is in (0, 1]")
        if self.multiple < 1:
            raise FastDepthError(f"multiple is {self.multiple}, needs at least 1")


@dataclass(frozen=True)
class Step:
    """An iteration that is done: what it pruned, and what that left."""

    iteration: int
    group: str
    cost: float
    delta1: float
    rmse: float
    channels: Channels

    def as_row(self) -> dict[str, str | int | float]:
        return {**asdict(self), "channels": json.dumps(self.channels.as_mapping())}


def read_history(file: Path) -> list[Step]:
    """The steps that a search has taken so far; none where it has not begun.

    Raises:
        FastDepthError: the file is damaged.
    """
    if not file.exists():
        return []
    try:
        with file.open(newline="") as lines:
            steps = [
                Step(
                    int(row["iteration"]), row["group"], float(row["cost"]), float(row["delta1"]), float(row["rmse"]),
                    Channels.from_mapping(json.loads(row["channels"])),
                )
                for row in csv.DictReader(lines)
            ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FastDepthError(f"{file} is damaged ({error!r})") from error
    if not steps:
        raise FastDepthError(f"{file} is damaged (it holds no step)")
    return steps


class NetAdapt:
    """One search in one folder: ``iteration-000.safetensors`` is the start, each iteration's winner follows.

    Args:
        start: checkpoint of the trained network, with batch norm.
        pool: runs `TRIALS`.

    Raises:
        FastDepthError: the folder holds another search, or another process writes to it.
        CheckpointError: the start is no FastDepth.
    """

    def __init__(
        self, start: Path, search: Search, training: Training, resource: Resource, out: Path, pool: Trials
    ) -> None:
        self.search, self.training, self.resource, self.out, self.pool = search, training, resource, out, pool
        self.start_cost = resource.cost(load_fastdepth(start)[0].channels)
        self._folder = JobFolder(out, self._begun_with(start), file="search.json", kind="search")
        self._folder.claim(has_results=self._winner(0).exists())
        begin = start.read_bytes()
        if not self._winner(0).exists() or self._winner(0).read_bytes() != begin:
            atomic_write(self._winner(0), begin)
        self.steps = self._steps_so_far()

    def run(self) -> Path:
        """Prune to the budget; then other processes may use the folder.

        Returns:
            The last iteration's checkpoint, tuned for a few steps only.

        Raises:
            FastDepthError: no group can give up what is asked.
        """
        try:
            self._prune()
        finally:
            self._folder.release()
        return self._winner(len(self.steps))

    @property
    def cost(self) -> float:
        return self.steps[-1].cost if self.steps else self.start_cost

    def channels(self, iteration: int) -> Channels:
        return load_fastdepth(self._winner(iteration))[0].channels

    def _steps_so_far(self) -> list[Step]:
        """Steps that are done; what a damaged file lost is read from the others, else it is searched anew."""
        try:
            steps = read_history(self.out / HISTORY)
        except FastDepthError as error:
            steps = self._steps_of_checkpoints()
            LOG.warning("%s: it is made anew, of the %d checkpoints beside it", error, len(steps))
            self._write_history(steps)
        while steps:
            try:
                load_fastdepth(self._winner(len(steps)))
                break
            except CheckpointError as error:
                LOG.warning("%s: iteration %d is searched anew", error, len(steps))
                steps.pop()
        return steps

    def _steps_of_checkpoints(self) -> list[Step]:
        steps: list[Step] = []
        while (winner := self._winner(len(steps) + 1)).exists():
            try:
                network, notes = load_fastdepth(winner)
                delta1, rmse = float(notes["delta1"]), float(notes["rmse"])
                cost = float(self.resource.cost(network.channels))
                steps.append(Step(len(steps) + 1, notes["group"], cost, delta1, rmse, network.channels))
            except (CheckpointError, KeyError, ValueError):
                break
        return steps

    def _prune(self) -> None:
        with tqdm(
            total=round(self.start_cost - self.search.budget, 6), unit=self.resource.unit, unit_scale=True
        ) as bar:
            while (cost := self.cost) > self.search.budget:
                bar.n = self.start_cost - cost
                bar.set_description(f"iteration {len(self.steps) + 1}, {cost:.4g} of {self.search.budget:.4g}")
                self._iterate(cost)
            bar.n = bar.total
            bar.refresh()

    def _iterate(self, cost: float) -> None:
        iteration = len(self.steps) + 1
        asked = self.search.reduction * self.start_cost * self.search.decay ** (iteration - 1)
        target = max(cost - asked, self.search.budget)
        found = proposals(self.channels(iteration - 1), self.resource, target, self.search.multiple)
        if not found:
            raise FastDepthError(
                f"no layer can bring {cost:.4g} {self.resource.unit} down to {target:.4g}: the budget of "
                f"{self.search.budget:.4g} is out of reach, or the reduction of {self.search.reduction} too large"
            )
        best = max(self._tried(iteration, found), key=lambda step: (step.delta1, -step.cost, step.group))
        os.replace(self._trial(iteration, best.group), self._winner(iteration))
        self.steps.append(best)
        self._write_history(self.steps)
        shutil.rmtree(self._trial(iteration, best.group).parent)

    def _tried(self, iteration: int, found: dict[str, Channels]) -> Iterator[Step]:
        threads = max(1, logical_cores() // self.pool.width) if self.pool.width > 1 else 0
        futures: dict[Future[dict[str, float]], str] = {}
        try:
            for place, (group, channels) in enumerate(found.items()):
                before, out = self._winner(iteration - 1), self._trial(iteration, group)
                trial = Trial(self.training, before, channels, out, iteration, threads, place)
                futures[self.pool.submit(trial)] = group
            for future in tqdm(as_completed(futures), total=len(futures), desc="proposals", leave=False):
                errors, group = future.result(), futures[future]
                cost = float(self.resource.cost(found[group]))
                yield Step(iteration, group, cost, errors["delta1"], errors["rmse"], found[group])
        except BrokenExecutor as error:
            raise FastDepthError(
                f"a worker ended by itself, maybe out of memory ({error}); the same command goes on"
            ) from None
        finally:
            for future in futures:
                future.cancel()

    def _begun_with(self, start: Path) -> dict[str, object]:
        also = [each.partition("=")[0] for each in self.training.also]  # data may move
        training = {**asdict(self.training), "root": self.training.dataset, "also": also}
        begin = {"start_sha256": hashlib.sha256(start.read_bytes()).hexdigest(), "start_cost": self.start_cost}
        return {"search": asdict(self.search), "training": training, **begin}

    def _winner(self, iteration: int) -> Path:
        return self.out / f"iteration-{iteration:03d}.safetensors"

    def _trial(self, iteration: int, group: str) -> Path:
        return self.out / f"proposals-{iteration:03d}" / f"{group}.safetensors"

    def _write_history(self, steps: Sequence[Step]) -> None:
        if not steps:
            (self.out / HISTORY).unlink(missing_ok=True)
            return
        rows = [step.as_row() for step in steps]
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write(self.out / HISTORY, table.getvalue())
