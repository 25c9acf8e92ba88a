"""The node on a real ROS graph: a camera and the node, each a process of its own, on a domain of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastdepth_ros.depth.estimator import stage_times_ms
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.processes import busy_process, isolated_domain, node_module, run_module

STAGES = ("wait", "decode", "preprocess", "infer", "postprocess", "publish", "overhead", "total", "age")


@dataclass(frozen=True)
class Scene:
    """One measurement on the graph.

    Args:
        size: size of the camera's frames, "640x480".
        rate_hz: frame rate of the camera.
        parameters: parameters of the node.
        beside_busy: another process keeps a core busy.
    """

    size: str
    rate_hz: float
    parameters: Mapping[str, str]
    beside_busy: bool = False

    def node(self) -> list[str]:
        """Arguments of `python -m` for the node."""
        return node_module({}, self.parameters)

    def camera(self, *arguments: str) -> list[str]:
        """Command of its camera."""
        module = "fastdepth_ros.ros_tools.benchmark_camera"
        return [sys.executable, "-m", module, "--size", self.size, "--rate", str(self.rate_hz), *arguments]


def run_scene(scene: Scene, warm_up_s: float, seconds: float) -> dict[str, Any]:
    """Run camera and node for some seconds.

    Returns:
        size, rate_hz, sent, heard, latency_ms (camera to depth, p50, p95, p99), stages_ms (the node's own, p50, p95 and
        p99 over its last 300 frames), counts, node_cpu (cores), parameters.

    Raises:
        FastDepthError: no figures came.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        busy_process() if scene.beside_busy else nullcontext(),
        isolated_domain(Path(folder)),
        run_module(scene.node(), log := Path(folder, "node.log")) as running,
    ):
        times = ["--warm-up", str(warm_up_s), "--seconds", str(seconds)]
        found = _answer(scene.camera("--node", str(running.pid), *times), log)
    told = found.pop("diagnostics")
    times_ms = stage_times_ms(told)
    stages = {stage: list(times_ms[stage].values()) for stage in STAGES}
    facts = {"size": scene.size, "parameters": dict(scene.parameters), "beside_busy": scene.beside_busy}
    return {**found, **facts, "engine": told["engine choice"], "stages_ms": stages}


def start_s(scene: Scene) -> float:
    """Seconds from the start of the node's process to its first depth, while the camera already sends.

    Raises:
        FastDepthError: no depth came.
    """
    with tempfile.TemporaryDirectory() as folder, isolated_domain(Path(folder)):
        found = _answer(scene.camera("--start", json.dumps(scene.node())), Path(folder, "node.log"))
    return float(found["first_depth_s"])


def _answer(command: Sequence[str], node_log: Path) -> dict[str, Any]:
    """JSON that the camera prints.

    Raises:
        FastDepthError: it fails; its last words and the node's.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (node_log.read_text(encoding="utf-8", errors="replace") if node_log.exists() else "") + done.stderr
        raise FastDepthError("; ".join(said.strip().splitlines()[-3:]))
    return json.loads(done.stdout)
