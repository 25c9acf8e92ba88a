"""`fastdepth prune`: NetAdapt, to a budget of MACs, weights, or milliseconds on the device that will run it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tqdm import tqdm

from fastdepth_ros.cli.complexity import channels_from
from fastdepth_ros.cli.options import TARGETS, add_device_options
from fastdepth_ros.data.datasets import DATASETS, DatasetError, open_dataset, open_named
from fastdepth_ros.nn.channels import NAMED, Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.fastdepth import FastDepth
from fastdepth_ros.pool import cluster, local
from fastdepth_ros.prune.engines import ENGINES
from fastdepth_ros.prune.measure import measure
from fastdepth_ros.prune.netadapt import NetAdapt, PruneError, Search
from fastdepth_ros.prune.pictures import write_channels, write_search
from fastdepth_ros.prune.resources import RESOURCES, Resource, resource
from fastdepth_ros.prune.table import LatencyTable, load_table
from fastdepth_ros.prune.trial import TRIALS, Training, accuracy
from fastdepth_ros.train.memory import keep_freed_memory
from fastdepth_ros.train.recipe import load_recipe, recipe_names
from fastdepth_ros.train.run_folder import RunError
from fastdepth_ros.train.trainer import Trainer

ERRORS = (CheckpointError, DatasetError, PruneError, RunError, ValueError)
OFF = 0.15  # share by which the prediction of a whole network may miss before it is a warning

BEYOND_THE_LAYERS = (
    "These are sums over convolutions alone. The paper's 66 ms (unpruned) and 37 ms (pruned) are of whole networks: "
    "changes of layout between layers, upsampling, additions and untuned rest come on top."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, metavar="CKPT", help="the trained network, with batch norm")
    parser.add_argument("--resource", choices=RESOURCES, default="macs")
    parser.add_argument("--budget", type=float, help="up to 1: share of the start's cost; above: MACs, weights or ms")
    parser.add_argument("--out", type=Path, help="folder of the search; an unfinished one is resumed")
    parser.add_argument("--dry-run", action="store_true", help="only say what the resource says of known networks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    data = parser.add_argument_group("data")
    data.add_argument("--dataset", default="nyu-labeled", help=", ".join(sorted(DATASETS)))
    data.add_argument("--root", type=Path, help="folder of the data set")
    data.add_argument("--holdout", type=float, default=0.1, help="share of the training split that judges (0.1)")
    search = parser.add_argument_group("search")
    search.add_argument("--reduction", type=float, default=0.05, help="share of the start to give up first (0.05)")
    search.add_argument("--decay", type=float, default=0.97, help="of the reduction, each iteration (0.97)")
    search.add_argument("--multiple", type=int, default=8, help="of the channel counts (8)")
    search.add_argument("--steps", type=int, default=40, help="batches of each proposal's short tuning (40)")
    search.add_argument("--batch", type=int, default=16, help="pairs of a batch (16)")
    search.add_argument("--learning-rate", type=float, default=5e-4, help="of the short tuning (5e-4)")
    search.add_argument("--input-px", type=int, default=224, help="of the search; 128 takes a third of its time (224)")
    search.add_argument("--workers", type=int, default=1, help="proposals at the same time, one process each (1)")
    search.add_argument(
        "--ray", metavar="ADDRESS", help="of a Ray cluster in place of --workers; auto for this machine's"
    )
    tuning = parser.add_argument_group("long tuning of what is left, then its accuracy on the test split")
    tuning.add_argument("--epochs", type=int, default=20, help="of the long tuning; 0 leaves it out (20)")
    tuning.add_argument("--recipe", default="finish", help=f"{', '.join(recipe_names())}, or a YAML file (finish)")
    tuning.add_argument(
        "--also", action="append", default=[], metavar="DATASET=FOLDER", help="tune on this one too; may be repeated"
    )
    latency = parser.add_argument_group("latency")
    latency.add_argument("--table", type=Path, help="layer times: JSON of --measure, or CSV")
    latency.add_argument("--measure", type=Path, metavar="JSON", help="measure a table here and write it")
    latency.add_argument("--engine", default="onnxruntime", choices=[*sorted(ENGINES), "tvm"])
    latency.add_argument("--threads", type=int, default=0, help="of the engine; 0 leaves the number to it")
    latency.add_argument("--target", default="host", help=f"of tvm: {TARGETS} (host)")
    add_device_options(latency)
    latency.add_argument("--channels", default="unpruned", help="the largest network of a table that is measured")


def run(parsed: argparse.Namespace) -> None:
    if parsed.measure:
        _measure(parsed)
    elif parsed.dry_run:
        _predict(parsed)
    else:
        _prune(parsed)


def _measure(parsed: argparse.Namespace) -> None:
    largest = channels_from(parsed.channels)
    table = _measured_tvm(parsed, largest) if parsed.engine == "tvm" else _measured(parsed, largest)
    table.save(parsed.measure)
    predicted, measured = resource("latency", table).cost(largest), table.network_ms["measured"]
    print(_told(predicted, measured))
    print(
        f"{parsed.measure}: {len(table.rows)} layers, {table.engine}, {table.threads or 'all'} threads, {table.device}"
    )


def _measured(parsed: argparse.Namespace, largest: Channels) -> LatencyTable:
    return measure(largest, parsed.engine, parsed.threads, multiple=parsed.multiple)


def _measured_tvm(parsed: argparse.Namespace, largest: Channels) -> LatencyTable:
    from fastdepth_ros.deploy.compile import CompileError
    from fastdepth_ros.deploy.targets import TargetError, find_target
    from fastdepth_ros.deploy.tune import TuneError, device_at
    from fastdepth_ros.prune.measure_tvm import measure_tvm

    try:
        target = find_target(parsed.target)
        return measure_tvm(largest, target, device_at(parsed.tracker, parsed.key, target), multiple=parsed.multiple)
    except (CompileError, TargetError, TuneError) as error:
        raise PruneError(str(error)) from error


def _told(predicted: float, measured: float) -> str:
    off = predicted / measured - 1
    line = f"whole network: {predicted:.2f} ms predicted, {measured:.2f} ms measured, {off:+.0%}"
    return f"WARNING: {line}; the sum of the layers misses it by more than {OFF:.0%}" if abs(off) > OFF else line


def _predict(parsed: argparse.Namespace) -> None:
    costs = {name: _resource(parsed, name).cost(channels) for name, channels in NAMED.items()}
    unit = _resource(parsed).unit
    if parsed.json:
        key = "predicted_ms" if unit == "ms" else f"predicted_{parsed.resource}"
        print(json.dumps({key: costs, "note": BEYOND_THE_LAYERS} if unit == "ms" else {key: costs}))
        return
    for name, cost in costs.items():
        print(f"{name:<10}{cost:>14,.2f} {unit}" if unit == "ms" else f"{name:<10}{cost:>14,.0f} {unit}")
    if unit == "ms":
        print(BEYOND_THE_LAYERS)


def _prune(parsed: argparse.Namespace) -> None:
    for name in ("start", "out", "root", "budget"):
        if getattr(parsed, name) is None:
            raise ValueError(f"--{name} is needed")
    start, what = _channels_of(parsed.start), _resource(parsed)
    cost = what.cost(start)
    budget = cost * parsed.budget if parsed.budget <= 1 else parsed.budget
    if not 0 < budget < cost:
        raise ValueError(f"a budget of {budget:.4g} {what.unit} prunes nothing: the network costs {cost:.4g}")
    search = Search(parsed.resource, budget, parsed.reduction, parsed.decay, parsed.multiple)
    training = Training(
        parsed.dataset, parsed.root, parsed.holdout, parsed.steps, parsed.batch, parsed.learning_rate, parsed.input_px
    )
    with cluster(TRIALS, parsed.ray) if parsed.ray else local(TRIALS, parsed.workers) as pool:
        netadapt = NetAdapt(parsed.start, search, training, what, parsed.out, pool)
        winner = netadapt.run()
    after = netadapt.channels(len(netadapt.steps))
    write_search(parsed.out / "search.png", netadapt.start_cost, netadapt.steps, what, budget)
    write_channels(parsed.out / "channels.png", start, after)
    print(f"{winner}: {cost:.4g} to {what.cost(after):.4g} {what.unit}, {json.dumps(after.as_mapping())}")
    if parsed.epochs:
        tuned = _tune(parsed, winner)
        print(_table_vii(parsed, {"unpruned": parsed.start, "pruned": tuned}))


def _tune(parsed: argparse.Namespace, winner: Path) -> Path:
    """The long tuning: an ordinary training run that starts with the winner."""
    network, _ = load_checkpoint(winner)
    recipe = load_recipe(parsed.recipe, {"epochs": parsed.epochs})
    dataset = open_dataset(parsed.dataset, parsed.root, "train")
    others = [open_named(each, "train") for each in parsed.also]
    keep_freed_memory()
    return Trainer(network, recipe, dataset, parsed.out / "tuned", others=others, cache=True).run()


def _table_vii(parsed: argparse.Namespace, checkpoints: dict[str, Path]) -> str:
    """Before and after, on the test split."""
    dataset = open_dataset(parsed.dataset, parsed.root, "test")
    rows = []
    for name, checkpoint in checkpoints.items():
        network, _ = load_checkpoint(checkpoint)
        pairs = (dataset[index] for index in tqdm(range(len(dataset)), desc=f"testing {name}", leave=False))
        errors = accuracy(network, pairs, torch.device("cpu"))
        count = complexity(network)["total"]
        row = {"network": name, "weights": count.weights, "macs": count.macs}
        rows.append({**row, "rmse": round(errors["rmse"], 4), "delta1": round(errors["delta1"], 4)})
    if parsed.json:
        return json.dumps(rows)
    lines = [f"{'':<10}{'weights':>12}{'MACs':>14}{'RMSE, m':>10}{'delta1':>9}   test split, authors' protocol"]
    for row in rows:
        lines.append("{network:<10}{weights:>12,}{macs:>14,}{rmse:>10}{delta1:>9}".format(**row))
    return "\n".join(lines)


def _channels_of(checkpoint: Path) -> Channels:
    network, _ = load_checkpoint(checkpoint)
    if not isinstance(network, FastDepth):
        raise CheckpointError(f"{checkpoint} is no FastDepth of a channel list")
    return network.channels


def _resource(parsed: argparse.Namespace, network: str | None = None) -> Resource:
    table: LatencyTable | None = load_table(parsed.table, network) if parsed.table else None
    return resource(parsed.resource, table)
