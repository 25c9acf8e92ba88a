"""`fastdepth tune`: measure which code is fastest, here or on the device over RPC."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fastdepth_ros.cli.options import add_device_options, add_target_options

if TYPE_CHECKING:
    from fastdepth_ros.deploy.tune import Layer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_options(parser)
    parser.add_argument("--db", type=Path, required=True, help="folder of tuning records; none is measured twice")
    parser.add_argument("--trials", type=int, default=1000, help="number of trials in the records after the run")
    add_device_options(parser)
    parser.add_argument("--best", type=Path, metavar="DIR", help="folder for the fastest trial of each kernel")


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.deploy.compile import tuned_tiles
    from fastdepth_ros.deploy.module import kernels
    from fastdepth_ros.deploy.records import open_records, records_path
    from fastdepth_ros.deploy.steps import read_plan
    from fastdepth_ros.deploy.targets import find_target
    from fastdepth_ros.deploy.tune import device_at, report, tune

    target = find_target(parsed.target)
    device = device_at(parsed.tracker, parsed.key, target)
    artifact = find_artifact(parsed.model)
    plan = read_plan(artifact.model_file("onnx").path)
    records = open_records(records_path(parsed.db, target), target, kernels(plan))
    tune(plan, target, records, parsed.trials, device, tuned_tiles(plan, target, artifact.folder, None))
    if parsed.best:
        parsed.best.mkdir(parents=True, exist_ok=True)
        records.write_best(records_path(parsed.best, target))
    _print(report(plan, target, records))


def _print(layers: list[Layer]) -> None:
    print(f"{'kernel':<52}{'uses':>5}{'trials':>7}{'guess ms':>10}{'best ms':>9}{'GMAC/s':>8}")
    for layer in layers:
        guess = "-" if layer.guess_ms is None else f"{layer.guess_ms:.3f}"
        best, speed = "-", "-"
        if layer.best_ms is not None:
            best, speed = f"{layer.best_ms:.3f}", f"{layer.macs / layer.best_ms / 1e6:.1f}"
        print(f"{layer.name:<52}{layer.uses:>5}{layer.trials:>7}{guess:>10}{best:>9}{speed:>8}")
    total = sum(layer.uses * (layer.best_ms or 0.0) for layer in layers)
    print(f"{'network':<52}{'':>22}{total:>9.3f}")
