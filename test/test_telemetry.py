"""No process of ours tells an engine's maker about itself, unless its user wants that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastdepth_ros.telemetry import OPENVINO_CONSENT, RAY_CONSENT, switch_off_telemetry, viewer_environment

ROOT = Path(__file__).resolve().parent.parent
LOAD = """
import sys
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.artifact.artifact import find_artifact
find_artifact(sys.argv[1]).load(sys.argv[2], BackendOptions(threads=1))
print(*sys.modules)
"""
STRANGE = {  # what an engine has no use for: what makes its modules, another engine, ROS
    "litert": {"onnx", "rclpy", "torch", "tvm", "openvino", "onnxruntime"},
    "onnxruntime": {"onnx", "rclpy", "torch", "tvm", "openvino"},
    "openvino": {"onnx", "rclpy", "torch", "tvm", "onnxruntime"},
    "pytorch": {"onnx", "rclpy", "tvm", "openvino", "onnxruntime"},
    "tvm": {"onnx", "rclpy", "openvino", "onnxruntime", "fastdepth_ros.deploy", "fastdepth_ros.nn"},
}
MODULES = {"litert": "ai_edge_litert", "openvino": "openvino", "pytorch": "torch", "tvm": "tvm"}  # of other backends
VARIABLES = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.mark.parametrize(
    "backend", ["onnxruntime", *(pytest.param(n, marks=pytest.mark.needs(m)) for n, m in MODULES.items())]
)
def test_an_engine_loads_no_other_and_leaves_nothing_in_an_empty_home(backend, artifact_folder, request, tmp_path):
    made = {"litert": "tflite_folder", "tvm": "compiled_folder"}
    folder = request.getfixturevalue(made[backend]) if backend in made else artifact_folder
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES and not name.startswith("XDG_")}
    environment = {**kept, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "CI": ""}
    command = [sys.executable, "-c", LOAD, str(folder), backend]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=100)
    loaded = set(done.stdout.split())
    assert MODULES.get(backend, backend) in loaded and not loaded & STRANGE[backend]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_telemetry_is_off_where_the_user_said_nothing(tmp_path):
    environment, modules = {}, {}
    switch_off_telemetry(environment, modules, tmp_path)
    assert environment == VARIABLES
    assert modules == {"openvino_telemetry": None}  # to Python it is not installed


def test_what_the_user_has_set_stays(tmp_path):
    chosen = {"ORT_DISABLE_TELEMETRY": "0", "RAY_USAGE_STATS_ENABLED": "1"}
    environment, modules = dict(chosen), {}
    (tmp_path / OPENVINO_CONSENT).parent.mkdir()
    (tmp_path / OPENVINO_CONSENT).write_text("1")
    switch_off_telemetry(environment, modules, tmp_path)
    assert environment == chosen and modules == {}


def test_rays_own_file_of_consent_counts(tmp_path):
    (tmp_path / RAY_CONSENT).parent.mkdir()
    (tmp_path / RAY_CONSENT).write_text('{"usage_stats": true}')
    environment: dict[str, str] = {}
    switch_off_telemetry(environment, {}, tmp_path)
    assert "RAY_USAGE_STATS_ENABLED" not in environment


def test_importing_the_package_switches_it_off_before_any_engine(tmp_path):
    code = "import os, sys, fastdepth_ros; print(os.environ['ORT_DISABLE_TELEMETRY'], *sys.modules)"
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment = {**kept, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    value, *modules = told.stdout.split()
    assert value == "1" and not {"onnxruntime", "openvino", "torch", "tvm", "ray"} & set(modules)


def test_reruns_viewer_sends_nothing(tmp_path):
    viewer = Path(pytest.importorskip("rerun_cli", reason="rerun is not installed").__file__).with_name("rerun")
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("XDG_")}
    environment = viewer_environment({**kept, "HOME": str(tmp_path), "RUST_LOG": "re_analytics=debug"})
    # an address that is not this machine's: it ends by itself once it has set its analytics up
    command = [str(viewer), "--bind", "203.0.113.1", "--serve-web", "--hide-welcome-screen"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], done.stderr
