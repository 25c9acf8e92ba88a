"""Table VI: what depthwise decomposition and skip-add cost, in PyTorch and in TVM, on this device."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fastdepth_ros.backends import Backend, BackendOptions, ModelFile, backend_class
from fastdepth_ros.backends.tvm import installed_versions
from fastdepth_ros.bench.timing import Latency, take_turns
from fastdepth_ros.deploy.compile import write_library
from fastdepth_ros.deploy.export import write_onnx
from fastdepth_ros.deploy.module import kernels
from fastdepth_ros.deploy.records import open_records, records_path
from fastdepth_ros.deploy.steps import read_plan
from fastdepth_ros.deploy.targets import find_target
from fastdepth_ros.deploy.tune import Device, tune
from fastdepth_ros.depth.geometry import TRAINED_INPUT_PX
from fastdepth_ros.nn.checkpoints import save_checkpoint
from fastdepth_ros.nn.network import DepthNetwork, initialize

ROWS = {  # decoder, as the paper calls it -> its kernel and its skips
    "standard": ("standard", "none"),
    "depthwise": ("depthwise", "none"),
    "depthwise + skip-add": ("depthwise", "add"),
}
AGREEMENT = 1e-4  # of the depth's range: random weights give no meters


@dataclass(frozen=True)
class Row:
    """One network, not pruned.

    Args:
        tuned, kernels: number of tuned kernels of TVM's code, and of all its kernels.
    """

    name: str
    pytorch: Latency
    tvm: Latency
    tuned: int
    kernels: int


@dataclass(frozen=True)
class Tuning:
    """Settings for tuning TVM's code.

    Args:
        folder: folder of the records, a folder per row in it; what is there is not measured again.
        trials: number of trials per row.
    """

    folder: Path
    trials: int


def table6(
    rounds: int, frames: int, threads: int = 0, tuning: Tuning | None = None,
    after_turn: Callable[[], object] = lambda: None,
) -> list[Row]:  # fmt: skip
    """Measure the rows; random weights, on which latency does not depend.

    Args:
        threads: threads of both engines; 0 leaves the number to them.
        tuning: settings of the tuning; without it TVM runs with guessed tiles.

    Raises:
        ArithmeticError: the engines do not compute the same.
    """
    rows, runners = {}, {}
    options = BackendOptions(threads)
    rgb = np.random.default_rng(0).integers(0, 256, (TRAINED_INPUT_PX, TRAINED_INPUT_PX, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for name, (kernel, skip) in ROWS.items():
            files = Path(folder, name.replace(" + ", "-"))
            files.mkdir()
            counts = _build(kernel, skip, files, tuning)
            pytorch, tvm = engines = _engines(files, options)
            _check(name, *(engine.infer(rgb).depth for engine in engines))
            rows[name] = counts
            runners[f"{name}/pytorch"], runners[f"{name}/tvm"] = partial(pytorch.infer, rgb), partial(tvm.infer, rgb)
        found = take_turns(runners, rounds, frames, after_turn)
    return [Row(name, found[f"{name}/pytorch"], found[f"{name}/tvm"], *counts) for name, counts in rows.items()]


def table6_text(rows: list[Row]) -> str:
    """The rows as a table of medians."""
    lines = [f"{'decoder':<24}{'PyTorch ms':>12}{'TVM ms':>9}{'factor':>8}   medians; MobileNet-NNConv5, not pruned"]
    for row in rows:
        factor = row.pytorch.median_ms / row.tvm.median_ms
        note = "" if row.tuned == row.kernels else f"   {row.kernels - row.tuned} of {row.kernels} kernels not tuned"
        lines.append(f"{row.name:<24}{row.pytorch.median_ms:>12.1f}{row.tvm.median_ms:>9.1f}{factor:>7.1f}x{note}")
    return "\n".join(lines)


def _build(kernel: str, skip: str, folder: Path, tuning: Tuning | None) -> tuple[int, int]:
    """Write the network for both engines; how many of TVM's kernels are tuned, and of how many."""
    network = DepthNetwork.of("mobilenet", "nnconv5", kernel=kernel, skip=skip).eval()
    initialize(network)
    save_checkpoint(network, folder / "model.safetensors")
    write_onnx(network, folder / "model.onnx")
    plan, target = read_plan(folder / "model.onnx"), find_target("host")
    tiles = {}
    if tuning:
        records = open_records(records_path(tuning.folder / folder.name, target), target, kernels(plan))
        tune(plan, target, records, tuning.trials, Device())
        tiles = records.tiles()
    write_library(plan, target, tiles, folder / "model.so")
    return len(tiles), len(kernels(plan))


def _engines(folder: Path, options: BackendOptions) -> tuple[Backend, Backend]:
    facts = {**installed_versions(), "device": "cpu", "cpu_features": find_target("host").cpu_features}
    shape = (TRAINED_INPUT_PX, TRAINED_INPUT_PX)
    pytorch = backend_class("pytorch")(ModelFile(folder / "model.safetensors", shape), options)
    return pytorch, backend_class("tvm")(ModelFile(folder / "model.so", shape, facts=facts), options)


def _check(name: str, one: np.ndarray, other: np.ndarray) -> None:
    off, largest = float(np.abs(one - other).max()), float(np.abs(one).max())
    if not off <= AGREEMENT * largest:
        raise ArithmeticError(f"{name}: TVM differs from PyTorch by {off}, the largest value is {largest}")
