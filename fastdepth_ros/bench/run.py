"""One run of the benchmark: engines, network halves, peers, node, energy and flicker, as one set of results."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.backends import Backend, BackendOptions
from fastdepth_ros.bench.energy import find_meters, power_mode
from fastdepth_ros.bench.harness import idle_power_w, measure
from fastdepth_ros.bench.node import Scene, run_scene, start_s
from fastdepth_ros.bench.paper_subjects import plan_halves, plan_peers
from fastdepth_ros.bench.plan import Plan, Request, plan_eager, plan_engines
from fastdepth_ros.bench.results import Results, results_of
from fastdepth_ros.choice.choice import Wanted, load_chosen
from fastdepth_ros.data.synthetic.sequence import NOISE, room_sequence
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.metrics.depth import temporal_noise

NODE_WARM_UP_S = 2.0
CAMERA_HZ = 30.0


class Pace(NamedTuple):
    """Turns of each subject, timed frames in a turn, seconds of each camera on the ROS graph, starts of the node."""

    rounds: int
    frames: int
    node_s: float
    starts: int


FLICKER_FRAMES, SETTLED = 40, 20  # seen, and of them those that count: the filter needs some to settle
STRENGTHS = (0.0, 0.8)  # of the filter over time
FULL, QUICK = Pace(10, 20, 10.0, 5), Pace(4, 6, 4.0, 1)


def run_bench(
    request: Request, *, quick: bool = False, rounds: int | None = None, frames: int | None = None,
    peers: bool = False, node: bool = True, mode: str = "",
) -> Results:  # fmt: skip
    """Measure everything that the request and the options name. A subject that fails is listed in `failed`.

    Args:
        quick: fewer rounds, and no steps of Fig. 3.
        rounds, frames: numbers in place of those of the pace.
        peers: also networks of other papers; needs torch.
        node: also the node on a ROS graph, where rclpy is installed.
        mode: power mode of the machine, for the report; "" asks the machine.

    Raises:
        FastDepthError: a model or a backend of the request does not exist.
    """
    pace = QUICK if quick else FULL
    rounds, frames = rounds or pace.rounds, frames or pace.frames
    settings = {"rounds": rounds, "frames": frames, "quick": quick, "power_mode": mode or power_mode()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plan = _plan(replace(request, beside_busy=not quick), folder, quick=quick, peers=peers)
        meters = [stack.enter_context(meter) for meter in find_meters()]
        scenes = _scenes(request, plan, quick=quick) if node else []
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
        results["start"] = _starts(scenes, pace.starts, failed)
        progress("flicker")
        results["flicker"] = [row for model in request.models for row in _flicker(model, request.device, failed)]
        notes, names = [*results["notes"], *plan.notes], {meter.name: meter.what for meter in meters}
        return {**results, "failed": failed, "notes": notes, "idle_w": idle_w, "meters": names}


def _starts(scenes: Sequence[Scene], number: int, failed: dict[str, str]) -> list[dict[str, Any]]:
    """Seconds from the start of the node to its first depth, of so many starts: as asked for, and with `backend: auto`,
    which take turns."""
    seconds: dict[str, list[float]] = {}
    for scene in scenes[:1]:
        for backend in (*dict.fromkeys((scene.parameters.get("backend", "onnxruntime"), "auto")),) * number:
            parameters = {**scene.parameters, "backend": backend}
            try:
                seconds.setdefault(backend, []).append(start_s(replace(scene, parameters=parameters)))
            except FastDepthError as error:
                failed[f"start {backend}"] = str(error)
    return [{"backend": backend, "first_depth_s": found} for backend, found in seconds.items() if found]


def _flicker(model: str, device: str, failed: dict[str, str]) -> list[dict[str, Any]]:
    """Flicker of a model in fp32, on the engine that a node would choose; a failure is noted in `failed`."""
    artifact = find_artifact(model)
    try:
        _, backend = load_chosen(artifact, Wanted(options=BackendOptions(device=device), precision="fp32"))
        return _of_still_scene(artifact, backend)
    except FastDepthError as error:
        failed[f"{artifact.name}/flicker"] = str(error)
        return []


def _of_still_scene(artifact: Artifact, backend: Backend) -> list[dict[str, Any]]:
    """`temporal_noise` of the depth of a synthetic room, seen repeatedly with new noise, for each strength of the
    filter over time, in `temporal_filter`."""
    (room,) = room_sequence(1)
    rng, scene = np.random.default_rng(0), room.rgb.astype(np.float32)
    noisy = [
        np.clip(scene + 255 * NOISE * rng.standard_normal(scene.shape, np.float32), 0, 255).astype(np.uint8)
        for _ in range(FLICKER_FRAMES)
    ]
    rows = []
    for strength in STRENGTHS:
        options = EstimatorOptions(focal_scale="off", temporal_filter=strength)
        estimator = artifact.estimator(backend, options)
        depths = np.stack([estimator(Frame(rgb)).depth for rgb in noisy])
        rows.append({"model": artifact.name, "temporal_filter": strength, **temporal_noise(depths[SETTLED:])})
    return rows


def _plan(request: Request, folder: Path, *, quick: bool, peers: bool) -> Plan:
    plans = [plan_engines(request), plan_halves(request, folder, steps=not quick)]
    plans.append(plan_peers(request, folder) if peers else plan_eager(request))
    subjects = [subject for plan in plans for subject in plan.subjects]
    return Plan(subjects, list(dict.fromkeys(note for plan in plans for note in plan.notes)))


def _scenes(request: Request, plan: Plan, *, quick: bool) -> list[Scene]:
    if find_spec("rclpy") is None:
        plan.notes.append("no node: rclpy is not installed")
        return []
    parameters = {"device": request.device}
    if request.threads:  # else the choice of the engine is also one of threads
        parameters["threads"] = str(max(request.threads))
    if request.models and request.models[0]:
        parameters["model"] = request.models[0]
    if len(request.backends) == 1:  # else the node chooses, as a robot's does
        parameters |= {"backend": request.backends[0], "precision": request.precisions[0]}
    parameters["power_save"] = str(request.power_save).lower()
    scene = Scene("640x480", CAMERA_HZ, parameters)
    if quick:
        return [scene]
    camera_grid = replace(scene, parameters={**parameters, "output_size": "camera"})
    millimeters = replace(scene, parameters={**camera_grid.parameters, "depth_encoding": "16UC1"})
    large = replace(scene, size="1920x1080")
    return [scene, replace(scene, beside_busy=True), camera_grid, millimeters, large]


def write_plots(out: Path, results: Results) -> list[str]:
    """Write the plots for which there are figures; their names. Without matplotlib: none, and a note."""
    if find_spec("matplotlib") is None:
        results["notes"].append("no pictures: pip install matplotlib")
        return []
    from fastdepth_ros.bench.plots import write_accuracy, write_halves

    made = {"fig1.png": write_accuracy, "fig3.png": write_halves}
    return [name for name, write in made.items() if write(out / name, results)]


def summary(results: Results) -> str:
    """The results as text, the fastest first."""
    lines = [results["machine"]["processor"]]
    lines.append(f"{'':<44}{'threads':>8}{'median ms':>11}{'min':>8}{'p99':>8}{'x floor':>9}")
    for row in sorted(results["rows"], key=lambda row: row["median_ms"]):
        if row["group"] not in ("half", "busy"):
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
            + (", beside a busy process" if scene["beside_busy"] else "")
        )
    lines += [f"first depth of {row['backend']}: {np.median(row['first_depth_s']):.2f} s" for row in results["start"]]
    lines += results["notes"]
    lines += [f"{name}: {why}" for name, why in results["failed"].items()]
    return "\n".join(lines)
