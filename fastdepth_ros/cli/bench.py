"""`fastdepth bench`: latencies on this device, one report."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions, backend_names
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.bench.compare import caveats, changes
from fastdepth_ros.bench.energy import find_meters, power_mode
from fastdepth_ros.bench.flicker import flicker
from fastdepth_ros.bench.harness import idle_power_w, measure
from fastdepth_ros.bench.node import Scene, run_scene
from fastdepth_ros.bench.plan import Plan, Request, plan_eager, plan_engines, plan_halves, plan_peers, thread_counts
from fastdepth_ros.bench.report import comparison, write_report
from fastdepth_ros.bench.results import Results, read_results, results_of, write_results
from fastdepth_ros.errors import FastDepthError

NODE_WARM_UP_S = 2.0
CAMERA_HZ = 30.0


class Pace(NamedTuple):
    """Turns of each subject, timed frames in a turn, seconds of each camera on the ROS graph."""

    rounds: int
    frames: int
    node_s: float


FULL, QUICK = Pace(10, 20, 10.0), Pace(4, 6, 4.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("bench"), help="folder for the report, JSON and plots")
    parser.add_argument("--quick", action="store_true", help="take under a minute: fewer rounds, no per-step timing")
    parser.add_argument(
        "--models", nargs="+", default=[""], metavar="M", help="artifact folders or names of bundled models"
    )
    parser.add_argument(
        "--backends", nargs="+", default=[], metavar="B",
        help=f"engines to time: {', '.join(backend_names())} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", nargs="+", type=_count, default=[], metavar="N",
        help="numbers of engine threads to time (default: 1 and all cores)",
    )  # fmt: skip
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=["fp32"],
        help="numeric precisions to time (default: fp32)",
    )  # fmt: skip
    parser.add_argument("--power-save", action="store_true", help="also time the engines with power_save")
    parser.add_argument("--device", default="cpu", help="device that the engines run on")
    parser.add_argument("--rounds", type=_count, help=f"number of rounds over all candidates (default: {FULL.rounds})")
    parser.add_argument("--frames", type=_count, help=f"number of timed frames per round (default: {FULL.frames})")
    parser.add_argument(
        "--peers", action="store_true", help="also time networks of other papers; needs torch and some GB"
    )
    parser.add_argument("--no-node", action="store_true", help="do not time the node on a ROS graph")
    parser.add_argument("--power-mode", default="", help="power mode, for the report (default on a Jetson: its own)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="results of an earlier run to compare with")
    table = parser.add_argument_group("timing of a table of the paper instead")
    table.add_argument("--table", type=int, choices=[6], help="number of the table whose rows are timed")
    table.add_argument("--db", type=Path, help="folder for tuning records; TVM's code is tuned first")
    table.add_argument("--trials", type=int, default=1000, help="number of tuning trials per network")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(parsed: argparse.Namespace) -> None:
    if parsed.table:
        _run_table(parsed)
        return
    before = read_results(parsed.compare) if parsed.compare else None
    results = _measure(parsed)
    parsed.out.mkdir(parents=True, exist_ok=True)
    write_results(parsed.out / "bench.json", results)
    compared = ""
    if before:
        compared = comparison(changes(before, results), caveats(before, results), str(parsed.compare))
    pictures = _pictures(parsed.out, results)
    write_report(parsed.out / "bench.md", results, pictures, compared)
    if parsed.json:
        print(json.dumps(results))
        return
    print(_summary(results))
    if compared:
        print(f"\n{compared}")
    print(f"look at {', '.join(str(parsed.out / name) for name in ('bench.md', 'bench.json', *pictures))}")


def _measure(parsed: argparse.Namespace) -> Results:
    pace = QUICK if parsed.quick else FULL
    rounds, frames = parsed.rounds or pace.rounds, parsed.frames or pace.frames
    request = Request(
        parsed.models, parsed.backends, parsed.threads, parsed.precisions, parsed.device, parsed.power_save
    )
    mode = parsed.power_mode or power_mode()
    settings = {"rounds": rounds, "frames": frames, "quick": parsed.quick, "power_mode": mode}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plan = _plan(parsed, request, folder)
        meters = [stack.enter_context(meter) for meter in find_meters()]
        scenes = _scenes(parsed, plan)
        total = len(plan.subjects) * (rounds + 1) + len(scenes) + 1
        bar = stack.enter_context(tqdm(total=total, unit="turn", disable=not sys.stderr.isatty()))

        def progress(name: str) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update()

        idle_w = idle_power_w(meters)
        measured, failed = measure(plan.subjects, rounds, frames, meters, progress)
        results = results_of(plan.subjects, measured, failed, settings)
        results["node"] = []
        for scene in scenes:
            progress(f"node {scene.size}")
            try:
                results["node"].append(run_scene(scene, NODE_WARM_UP_S, pace.node_s))
            except FastDepthError as error:
                failed[f"node {scene.size}"] = str(error)
        told = {meter.name: meter.what for meter in meters}
        progress("flicker")
        results["flicker"] = [row for model in parsed.models for row in _flicker(model, parsed.device, failed)]
        notes = [*results["notes"], *plan.notes]
        return {**results, "failed": failed, "notes": notes, "idle_w": idle_w, "meters": told}


def _flicker(model: str, device: str, failed: dict[str, str]) -> list[dict[str, Any]]:
    """Flicker of a model on the default backend; a failure is noted in `failed`."""
    artifact = find_artifact(model)
    try:
        return flicker(artifact, artifact.load(options=BackendOptions(device=device)))
    except FastDepthError as error:
        failed[f"{artifact.name}/flicker"] = str(error)
        return []


def _plan(parsed: argparse.Namespace, request: Request, folder: Path) -> Plan:
    plans = [plan_engines(request), plan_halves(request, folder, steps=not parsed.quick)]
    plans.append(plan_peers(request, folder) if parsed.peers else plan_eager(request))
    subjects = [subject for plan in plans for subject in plan.subjects]
    return Plan(subjects, list(dict.fromkeys(note for plan in plans for note in plan.notes)))


def _scenes(parsed: argparse.Namespace, plan: Plan) -> list[Scene]:
    if parsed.no_node:
        return []
    if find_spec("rclpy") is None:
        plan.notes.append("no node: rclpy is not installed")
        return []
    parameters: dict[str, Any] = {"model": parsed.models[0], "threads": max(parsed.threads or thread_counts())}
    parameters = {name: str(value) for name, value in parameters.items() if value != ""}
    if parsed.backends:
        parameters["backend"] = parsed.backends[0]
    if parsed.precisions:
        parameters["precision"] = parsed.precisions[0]
    parameters.update(device=parsed.device, power_save=str(parsed.power_save).lower())
    scene = Scene("640x480", CAMERA_HZ, parameters)
    if parsed.quick:
        return [scene]
    camera_grid = replace(scene, parameters={**parameters, "output_size": "camera"})
    return [scene, camera_grid, replace(scene, size="1920x1080")]


def _pictures(out: Path, results: Results) -> list[str]:
    if find_spec("matplotlib") is None:
        results["notes"].append("no pictures: pip install matplotlib")
        return []
    from fastdepth_ros.bench.plots import write_accuracy, write_halves

    made = {"fig1.png": write_accuracy, "fig3.png": write_halves}
    return [name for name, write in made.items() if write(out / name, results)]


def _summary(results: Results) -> str:
    lines = [results["machine"]["processor"]]
    lines.append(f"{'':<44}{'threads':>8}{'median ms':>11}{'min':>8}{'p99':>8}{'x floor':>9}")
    for row in sorted(results["rows"], key=lambda row: row["median_ms"]):
        if row["group"] != "half":
            ratio = f"{row['ratio']:.1f}" if "ratio" in row else ""
            name = row["name"].rpartition("/")[0] if row["group"] in ("engine", "eager") else row["name"]
            figures = "".join(
                f"{row[key]:>{width}.2f}" for key, width in (("median_ms", 11), ("min_ms", 8), ("p99_ms", 8))
            )
            lines.append(f"{name:<44}{row['threads']:>8}{figures}{ratio:>9}")
    for scene in results["node"]:
        overhead, age = scene["stages_ms"]["overhead"], scene["stages_ms"]["age"]
        lines.append(
            f"node, {scene['size']} at {scene['rate_hz']:.0f} Hz: overhead p50 {overhead[0]:.2f} ms, "
            f"age p95 {age[1]:.1f} ms, {scene['counts']['replaced']} replaced, {scene['node_cpu']:.2f} cores"
        )
    lines += [f"{name}: {why}" for name, why in results["failed"].items()]
    return "\n".join(lines)


def _run_table(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.bench.paper_table6 import ROWS, Tuning, table6  # late: they need torch and TVM

    rounds, frames = parsed.rounds or 5, parsed.frames or 10
    tuning = Tuning(parsed.db, parsed.trials) if parsed.db else None
    threads = parsed.threads[0] if parsed.threads else 0
    with tqdm(total=rounds * 2 * len(ROWS), unit="turn", disable=not sys.stderr.isatty()) as bar:
        rows = table6(rounds, frames, threads, tuning, bar.update)
    print(json.dumps({"table": 6, "rows": [asdict(row) for row in rows]}) if parsed.json else _table6_text(rows))


def _table6_text(rows: list[Any]) -> str:
    lines = [f"{'decoder':<24}{'PyTorch ms':>12}{'TVM ms':>9}{'factor':>8}   medians; MobileNet-NNConv5, not pruned"]
    for row in rows:
        factor = row.pytorch.median_ms / row.tvm.median_ms
        note = "" if row.tuned == row.kernels else f"   {row.kernels - row.tuned} of {row.kernels} kernels not tuned"
        lines.append(f"{row.name:<24}{row.pytorch.median_ms:>12.1f}{row.tvm.median_ms:>9.1f}{factor:>7.1f}x{note}")
    return "\n".join(lines)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
