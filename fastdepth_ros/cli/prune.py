"""`fastdepth prune`: NetAdapt, to a budget of MACs, weights, or milliseconds on the device that will run it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.cli.options import (
    TARGETS,
    add_dataset_options,
    add_device_options,
    add_json_option,
    add_training_data_options,
    number,
    print_notes,
    require_at_least,
)
from fastdepth_ros.data.datasets import open_dataset, open_named
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import NAMED, Channels, find_channels
from fastdepth_ros.train.recipe import load_recipe, recipe_names

if TYPE_CHECKING:
    from fastdepth_ros.prune.resources import LatencyTable, Resource

RESOURCES = ("macs", "weights", "latency")  # prune.resources.RESOURCES, which needs torch
ENGINES = ("onnxruntime", "openvino", "pytorch", "tvm")  # prune.measure.ENGINES, which needs torch, and TVM
OFF = 0.15  # relative error of a whole network's predicted latency above which a warning is printed

SUMS_OF_LAYERS = (
    "These are sums over convolutions alone. The paper's 66 ms (unpruned) and 37 ms (pruned) are of whole networks: "
    "changes of layout between layers, upsampling, additions and untuned rest come on top."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, metavar="CKPT", help="checkpoint of the trained network, with batch norm")
    parser.add_argument("--resource", choices=RESOURCES, default="macs", help="cost that the budget limits")
    parser.add_argument(
        "--budget", type=number, help="cost to reach: up to 1, a share of the start's; above, MACs, weights or ms"
    )
    parser.add_argument("--out", type=Path, help="folder of the search; an unfinished search is resumed")
    parser.add_argument("--dry-run", action="store_true", help="print the cost of known networks and stop")
    add_json_option(parser)
    data = parser.add_argument_group("data")
    add_dataset_options(data, "to train on", "nyu-labeled")
    add_training_data_options(data)
    data.add_argument(
        "--holdout", type=number, default=0.1, help="share of the training split that only evaluates proposals"
    )
    search = parser.add_argument_group("search")
    search.add_argument("--reduction", type=number, default=0.05, help="share of the start's cost to remove first")
    search.add_argument(
        "--decay", type=number, default=0.97, help="factor by which the reduction shrinks in each iteration"
    )
    search.add_argument("--multiple", type=int, default=8, help="divisor of all channel counts")
    search.add_argument("--steps", type=int, default=40, help="number of batches to tune each proposal with")
    search.add_argument("--batch", type=int, default=16, help="number of pairs per batch")
    search.add_argument("--learning-rate", type=number, default=5e-4, help="learning rate to tune proposals with")
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
    latency = parser.add_argument_group("latency")
    latency.add_argument("--table", type=Path, help="file of layer times: JSON written by --measure, or CSV")
    latency.add_argument(
        "--measure", type=Path, metavar="JSON", help="file for layer times measured here or on --tracker"
    )
    latency.add_argument("--engine", default="onnxruntime", choices=ENGINES, help="engine to measure with")
    latency.add_argument("--threads", type=int, default=0, help="number of engine threads; 0 lets the engine choose")
    latency.add_argument("--target", default="host", help=f"processor that tvm builds for: {TARGETS}")
    add_device_options(latency)
    latency.add_argument("--channels", default="unpruned", help="channel counts of the largest network to measure")


def run(parsed: argparse.Namespace) -> None:
    require_at_least(parsed, 1, "multiple", "workers")
    if parsed.measure:
        _measure(parsed)
    elif parsed.dry_run:
        _predict(parsed)
    else:
        _prune(parsed)


def _measure(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.prune.measure import checked, measure
    from fastdepth_ros.prune.resources import resource

    largest = find_channels(parsed.channels)
    parsed.measure.parent.mkdir(parents=True, exist_ok=True)
    if parsed.engine == "tvm":
        table = _measured_tvm(parsed, largest)
    else:
        table = measure(largest, parsed.engine, parsed.threads, multiple=parsed.multiple)
    table.save(parsed.measure)
    for name, channels in checked(largest, parsed.multiple).items():
        print(_prediction(name, resource("latency", table).cost(channels), table.network_ms[name]))
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


def _prediction(name: str, predicted: float, measured: float) -> str:
    off = predicted / measured - 1
    line = f"{name}: {predicted:.2f} ms predicted, {measured:.2f} ms measured, {off:+.0%}"
    return f"WARNING: {line}; the sum of the layers misses it by more than {OFF:.0%}" if abs(off) > OFF else line


def _predict(parsed: argparse.Namespace) -> None:
    costs = {name: _resource(parsed, name).cost(channels) for name, channels in NAMED.items()}
    unit = _resource(parsed).unit
    in_ms = unit == "ms"
    note = SUMS_OF_LAYERS if in_ms and parsed.table.suffix == ".csv" else ""
    if parsed.json:
        result: dict[str, Any] = {"predicted_ms" if in_ms else f"predicted_{parsed.resource}": costs}
        print(json.dumps({**result, "note": note} if note else result))
        return
    for name, cost in costs.items():
        print(f"{name:<10}{cost:>14,.2f} {unit}" if in_ms else f"{name:<10}{cost:>14,.0f} {unit}")
    if note:
        print(note)


def _prune(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.jobs.pool import local_pool, ray_pool
    from fastdepth_ros.nn.checkpoints import load_fastdepth
    from fastdepth_ros.prune.final import final_tuning, table_vii
    from fastdepth_ros.prune.measure import networks_ms_here
    from fastdepth_ros.prune.netadapt import NetAdapt, Search
    from fastdepth_ros.prune.plots import write_channels, write_search
    from fastdepth_ros.prune.resources import load_table
    from fastdepth_ros.prune.trial import TRIALS, Training

    for name in ("start", "out", "root", "budget"):
        if getattr(parsed, name) is None:
            raise FastDepthError(f"--{name} is needed")
    begin, out, root = parsed.start.absolute(), parsed.out.absolute(), parsed.root.absolute()
    start, what = load_fastdepth(begin)[0].channels, _resource(parsed)
    recipe = load_recipe(parsed.recipe, {"epochs": parsed.epochs or 1})
    others = [open_named(each, "train") for each in parsed.also]
    pairs = open_dataset(parsed.dataset, root, "train")
    # opened before the search: a missing split is an error at once
    test = open_dataset(parsed.dataset, root, parsed.test_split) if parsed.epochs else None
    print_notes(pairs, *others)
    cost = what.cost(start)
    budget = cost * parsed.budget if parsed.budget <= 1 else parsed.budget
    if not 0 < budget < cost:
        raise FastDepthError(f"a budget of {budget:.4g} {what.unit} prunes nothing: the network costs {cost:.4g}")
    search = Search(parsed.resource, budget, parsed.reduction, parsed.decay, parsed.multiple)
    training = Training(
        parsed.dataset, root, parsed.holdout, parsed.steps, parsed.batch, parsed.learning_rate, parsed.input_px,
        tuple(map(_absolute, parsed.also)), recipe.repeat,
    )  # fmt: skip
    with ray_pool(TRIALS, parsed.ray) if parsed.ray else local_pool(TRIALS, parsed.workers) as pool:
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
        checkpoints = final_tuning(
            begin, winner, out, recipe, pairs, others, tune_start=parsed.tune_start, cache=parsed.cache
        )
        result["table_vii"] = table_vii(test, checkpoints)
    print(json.dumps(result) if parsed.json else _as_text(result))


def _absolute(also: str) -> str:
    """DATASET=FOLDER with an absolute folder, for the workers of a cluster, which run in other folders."""
    name, _, root = also.partition("=")
    return f"{name}={Path(root).absolute()}"


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
    from fastdepth_ros.prune.resources import load_table, resource

    table: LatencyTable | None = load_table(parsed.table, network) if parsed.table else None
    return resource(parsed.resource, table)
