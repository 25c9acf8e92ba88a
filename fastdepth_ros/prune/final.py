"""Final tuning of a pruned network, and Table VII: the network before and after pruning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fastdepth_ros.data.datasets import Dataset
from fastdepth_ros.jobs.memory import keep_freed_memory
from fastdepth_ros.nn.checkpoints import load_checkpoint
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.prune.trial import accuracy
from fastdepth_ros.train.recipe import Recipe
from fastdepth_ros.train.trainer import Trainer


def final_tuning(
    start: Path, pruned: Path, out: Path, recipe: Recipe, pairs: Dataset, others: Sequence[Dataset],
    *, tune_start: bool = False, cache: bool = False,
) -> dict[str, Path]:  # fmt: skip
    """Tune the pruned network in `out`/tuned; with `tune_start` also the start, in `out`/tuned-start.

    Returns:
        Checkpoints by the name of their row in Table VII.
    """
    keep_freed_memory()

    def tuned(checkpoint: Path, run: Path) -> Path:
        network = load_checkpoint(checkpoint)[0]
        return Trainer(network, recipe, pairs, run, others=list(others), cache=cache).run()

    rows = {"start": start}
    if tune_start:
        rows["start, tuned"] = tuned(start, out / "tuned-start")
    return {**rows, "pruned": tuned(pruned, out / "tuned")}


def table_vii(pairs: Dataset, checkpoints: dict[str, Path]) -> list[dict[str, Any]]:
    """Rows of Table VII: weights, MACs, and RMSE (meters) and delta1 by the authors' protocol."""
    rows = []
    for name, checkpoint in checkpoints.items():
        network, _ = load_checkpoint(checkpoint)
        each = (pairs[index] for index in tqdm(range(len(pairs)), desc=f"testing {name}", leave=False))
        errors = accuracy(network, each)
        count = complexity(network)["total"]
        row = {"network": name, "weights": count.weights, "macs": count.macs}
        rows.append({**row, "rmse": round(errors["rmse"], 4), "delta1": round(errors["delta1"], 4)})
    return rows
