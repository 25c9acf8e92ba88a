"""`fastdepth prune`: NetAdapt, to a budget of MACs, weights, or milliseconds on the device that will run it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from fastdepth_ros.cli.complexity import channels_from
from fastdepth_ros.cli.options import TARGETS, add_device_options, tell_notes
from fastdepth_ros.data.datasets import DATASETS, Dataset, open_dataset, open_named
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.pool import cluster, local
from fastdepth_ros.nn.channels import NAMED, Channels
from fastdepth_ros.nn.checkpoints import load_checkpoint, load_fastdepth
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.prune.engines import ENGINES
from fastdepth_ros.prune.measure import checked, measure, networks_ms_here
from fastdepth_ros.prune.netadapt import NetAdapt, Search
from fastdepth_ros.prune.plots import write_channels, write_search
from fastdepth_ros.prune.resources import RESOURCES, Resource, resource
from fastdepth_ros.prune.table import LatencyTable, load_table
from fastdepth_ros.prune.trial import TRIALS, Training, accuracy
from fastdepth_ros.train.memory import keep_freed_memory
from fastdepth_ros.train.recipe import load_recipe, recipe_names
from fastdepth_ros.train.trainer import Trainer

OFF = 0.15  # share by which the prediction of a whole network may miss before it is a warning

BEYOND_THE_LAYERS = (
    "These are sums over convolutions alone. The paper's 66 ms (unpruned) and 37 ms (pruned) are of whole networks: "
    "changes of layout between layers, upsampling, additions and untuned rest come on top."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, metavar="CKPT", help="checkpoint of the trained network, with batch norm")
    parser.add_argument("--resource", choices=RESOURCES, default="macs", help="cost that the budget limits")
    parser.add_argument(
        "--budget", type=float, help="cost to reach: up to 1, a share of the start's; above, MACs, weights or ms"
    )
    parser.add_argument("--out", type=Path, help="folder of the search; an unfinished search is resumed")
    parser.add_argument("--dry-run", action="store_true", help="print the cost of known networks and stop")
    parser.add_argument("--json", action="store_true", help="print JSON")
    data = parser.add_argument_group("data")
    data.add_argument("--dataset", default="nyu-labeled", help=f"data set to train on: {', '.join(sorted(DATASETS))}")
    data.add_argument("--root", type=Path, help="folder of the data set")
    data.add_argument(
        "--also", action="append", default=[], metavar="DATASET=FOLDER",
        help="further data set that the network was trained on; may be repeated",
    )  # fmt: skip
    data.add_argument("--holdout", type=float, default=0.1, help="share of the training split held out to judge")
    search = parser.add_argument_group("search")
    search.add_argument("--reduction", type=float, default=0.05, help="share of the start's cost to remove first")
    search.add_argument("--decay", type=float, default=0.97, help="factor on the reduction after each iteration")
    search.add_argument("--multiple", type=int, default=8, help="number that channel counts are kept a multiple of")
    search.add_argument("--steps", type=int, default=40, help="number of batches to tune each proposal with")
    search.add_argument("--batch", type=int, default=16, help="number of pairs per batch")
    search.add_argument("--learning-rate", type=float, default=5e-4, help="learning rate to tune proposals with")
    search.add_argument(
        "--input-px", type=int, default=224, help="input side in the search; 128 takes a third of the time"
    )
    search.add_argument("--workers", type=int, default=1, help="number of proposals tuned at once, in processes")
    search.add_argument("--ray", metavar="ADDRESS", help="Ray cluster instead of --workers; auto: on this machine")
    tuning = parser.add_argument_group("final tuning of the pruned network, then its accuracy")
    tuning.add_argument("--epochs", type=int, default=20, help="number of epochs of the final tuning; 0: none")
    tuning.add_argument("--recipe", default="finish", help=f"recipe: {', '.join(recipe_names())}, or a YAML file")
    tuning.add_argument("--tune-start", action="store_true", help="also tune the start as long, as a baseline")
    tuning.add_argument("--test-split", default="test", help="split of the data set to measure the accuracy on")
    tuning.add_argument("--cache", action="store_true", help="keep decoded pairs in memory: 2 MB each at 640x480")
    latency = parser.add_argument_group("latency")
    latency.add_argument("--table", type=Path, help="file of layer times: JSON written by --measure, or CSV")
    latency.add_argument(
        "--measure", type=Path, metavar="JSON", help="file for layer times measured here or on --tracker"
    )
    latency.add_argument(
        "--engine", default="onnxruntime", choices=[*sorted(ENGINES), "tvm"], help="engine to measure with"
    )
    latency.add_argument("--threads", type=int, default=0, help="number of engine threads; 0 lets the engine choose")
    latency.add_argument("--target", default="host", help=f"processor that tvm builds for: {TARGETS}")
    add_device_options(latency)
    latency.add_argument("--channels", default="unpruned", help="channel counts of the largest network to measure")


def run(parsed: argparse.Namespace) -> None:
    if parsed.multiple < 1:
        raise FastDepthError(f"--multiple is {parsed.multiple}, needs at least 1")
    if parsed.measure:
        _measure(parsed)
    elif parsed.dry_run:
        _predict(parsed)
    else:
        _prune(parsed)


def _measure(parsed: argparse.Namespace) -> None:
    largest = channels_from(parsed.channels)
    parsed.measure.parent.mkdir(parents=True, exist_ok=True)
    if parsed.engine == "tvm":
        table = _measured_tvm(parsed, largest)
    else:
        table = measure(largest, parsed.engine, parsed.threads, multiple=parsed.multiple)
    table.save(parsed.measure)
    for name, channels in checked(largest, parsed.multiple).items():
        print(_told(name, resource("latency", table).cost(channels), table.network_ms[name]))
    print(
        f"{parsed.measure}: {len(table.rows)} layers, {table.engine}, {table.threads or 'all'} threads, {table.device}"
    )


def _measured_tvm(parsed: argparse.Namespace, largest: Channels) -> LatencyTable:
    from fastdepth_ros.deploy.targets import find_target
    from fastdepth_ros.deploy.tune import device_at
    from fastdepth_ros.prune.measure_tvm import measure_tvm

    target = find_target(parsed.target)
    device = device_at(parsed.tracker, parsed.key, target)
    return measure_tvm(largest, target, device, parsed.threads, multiple=parsed.multiple)


def _told(name: str, predicted: float, measured: float) -> str:
    off = predicted / measured - 1
    line = f"{name}: {predicted:.2f} ms predicted, {measured:.2f} ms measured, {off:+.0%}"
    return f"WARNING: {line}; the sum of the layers misses it by more than {OFF:.0%}" if abs(off) > OFF else line


def _predict(parsed: argparse.Namespace) -> None:
    costs = {name: _resource(parsed, name).cost(channels) for name, channels in NAMED.items()}
    unit = _resource(parsed).unit
    in_ms = unit == "ms"
    note = BEYOND_THE_LAYERS if in_ms and parsed.table.suffix == ".csv" else ""
    if parsed.json:
        told = {"predicted_ms" if in_ms else f"predicted_{parsed.resource}": costs}
        print(json.dumps({**told, "note": note} if note else told))
        return
    for name, cost in costs.items():
        print(f"{name:<10}{cost:>14,.2f} {unit}" if in_ms else f"{name:<10}{cost:>14,.0f} {unit}")
    if note:
        print(note)


def _prune(parsed: argparse.Namespace) -> None:
    for name in ("start", "out", "root", "budget"):
        if getattr(parsed, name) is None:
            raise FastDepthError(f"--{name} is needed")
    if parsed.workers < 1:
        raise FastDepthError(f"--workers is {parsed.workers}, needs at least 1")
    begin, out, root = parsed.start.absolute(), parsed.out.absolute(), parsed.root.absolute()
    start, what = load_fastdepth(begin)[0].channels, _resource(parsed)
    recipe = load_recipe(parsed.recipe, {"epochs": parsed.epochs or 1})
    others = [open_named(each, "train") for each in parsed.also]
    pairs = open_dataset(parsed.dataset, root, "train")
    test = open_dataset(parsed.dataset, root, parsed.test_split) if parsed.epochs else None  # now, not in hours
    tell_notes(pairs, *others)
    cost = what.cost(start)
    budget = cost * parsed.budget if parsed.budget <= 1 else parsed.budget
    if not 0 < budget < cost:
        raise FastDepthError(f"a budget of {budget:.4g} {what.unit} prunes nothing: the network costs {cost:.4g}")
    search = Search(parsed.resource, budget, parsed.reduction, parsed.decay, parsed.multiple)
    training = Training(
        parsed.dataset, root, parsed.holdout, parsed.steps, parsed.batch, parsed.learning_rate, parsed.input_px,
        tuple(map(_absolute, parsed.also)), recipe.repeat,
    )  # fmt: skip
    with cluster(TRIALS, parsed.ray) if parsed.ray else local(TRIALS, parsed.workers) as pool:
        netadapt = NetAdapt(begin, search, training, what, out, pool)
        winner = netadapt.run()
    after = netadapt.channels(len(netadapt.steps))
    write_search(out / "search.png", netadapt.start_cost, netadapt.steps, what, budget)
    write_channels(out / "channels.png", start, after)
    result = {"checkpoint": str(winner), "unit": what.unit, "before": cost, "after": what.cost(after)}
    result |= {"channels": after.as_mapping(), "table_vii": []}
    if parsed.resource == "latency" and (measured := networks_ms_here(load_table(parsed.table), [start, after])):
        result["measured_ms"] = measured
    if test is not None:
        keep_freed_memory()

        def tuned(checkpoint: Path, run: Path) -> Path:
            network = load_checkpoint(checkpoint)[0]
            return Trainer(network, recipe, pairs, run, others=others, cache=parsed.cache).run()

        rows = {"start": begin}
        if parsed.tune_start:
            rows["start, tuned"] = tuned(begin, out / "tuned-start")
        rows["pruned"] = tuned(winner, out / "tuned")
        result["table_vii"] = _table_vii(test, rows)
    print(json.dumps(result) if parsed.json else _as_text(result))


def _absolute(also: str) -> str:
    """DATASET=FOLDER with an absolute folder, for the workers of a cluster, which run in other folders."""
    name, _, root = also.partition("=")
    return f"{name}={Path(root).absolute()}"


def _table_vii(pairs: Dataset, checkpoints: dict[str, Path]) -> list[dict[str, Any]]:
    """Rows of Table VII: the network before and after pruning."""
    rows = []
    for name, checkpoint in checkpoints.items():
        network, _ = load_checkpoint(checkpoint)
        each = (pairs[index] for index in tqdm(range(len(pairs)), desc=f"testing {name}", leave=False))
        errors = accuracy(network, each, torch.device("cpu"))
        count = complexity(network)["total"]
        row = {"network": name, "weights": count.weights, "macs": count.macs}
        rows.append({**row, "rmse": round(errors["rmse"], 4), "delta1": round(errors["delta1"], 4)})
    return rows


def _as_text(result: dict[str, Any]) -> str:
    channels = json.dumps(result["channels"])
    lines = ["{checkpoint}: {before:.4g} to {after:.4g} {unit}, ".format(**result) + channels]
    if "measured_ms" in result:
        before, after = result["measured_ms"]
        lines.append(f"measured, interleaved: {before:.2f} to {after:.2f} ms, {after / before:.2f} of the start's")
    elif result["unit"] == "ms":
        lines.append("not measured: the table is of a device or an engine that is not here")
    if result["table_vii"]:
        lines.append(f"{'':<14}{'weights':>12}{'MACs':>14}{'RMSE, m':>10}{'delta1':>9}   authors' protocol")
    for row in result["table_vii"]:
        lines.append("{network:<14}{weights:>12,}{macs:>14,}{rmse:>10}{delta1:>9}".format(**row))
    return "\n".join(lines)


def _resource(parsed: argparse.Namespace, network: str | None = None) -> Resource:
    table: LatencyTable | None = load_table(parsed.table, network) if parsed.table else None
    return resource(parsed.resource, table)
