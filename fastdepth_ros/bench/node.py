"""The node on a real ROS graph: a camera and the node, each a process of its own, on a domain of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastdepth_ros.depth.estimator import stage_times_ms
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.processes import isolated_domain, run_module

STAGES = ("wait", "decode", "preprocess", "infer", "postprocess", "publish", "overhead", "total", "age")


@dataclass(frozen=True)
class Scene:
    """One measurement on the graph.

    Args:
        size: of the camera's frames, "640x480".
        rate_hz: of the camera.
        parameters: of the node.
    """

    size: str
    rate_hz: float
    parameters: Mapping[str, str]


def run_scene(scene: Scene, warm_up_s: float, seconds: float) -> dict[str, Any]:
    """Run camera and node for some seconds.

    Returns:
        size, rate_hz, sent, heard, latency_ms (camera to depth, p50, p95, p99), stages_ms (the node's own, p50, p95 and
        p99 over its last 300 frames), counts, node_cpu (cores), parameters.

    Raises:
        FastDepthError: no figures came.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **isolated_domain(Path(folder))}
        parameters = [part for name, value in scene.parameters.items() for part in ("-p", f"{name}:={value}")]
        node = ["fastdepth_ros.node.node", "--ros-args", *parameters]
        with run_module(node, environment, Path(folder, "node.log")) as running:
            camera = [
                "fastdepth_ros.ros_tools.benchmark_camera", "--node", str(running.pid), "--size", scene.size,
                "--rate", str(scene.rate_hz), "--warm-up", str(warm_up_s), "--seconds", str(seconds),
            ]  # fmt: skip
            done = subprocess.run([sys.executable, "-m", *camera], env=environment, capture_output=True, text=True)
        if done.returncode:
            said = (Path(folder, "node.log").read_text() + done.stderr).strip().splitlines()
            raise FastDepthError("; ".join(said[-3:]))
    found = json.loads(done.stdout)
    told = found.pop("diagnostics")
    times_ms = stage_times_ms(told)
    stages = {stage: list(times_ms[stage].values()) for stage in STAGES}
    return {**found, "size": scene.size, "parameters": dict(scene.parameters), "stages_ms": stages}
