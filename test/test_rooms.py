"""Imports between the folders of the package: in the source and in a running process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "rclpy", "onnx", "safetensors", "rosbags", "matplotlib")

FRAME_TO_DEPTH = """
import sys
import numpy as np
from fastdepth_ros.backends import backend_names
from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.depth.frame import RawImage, decode_raw
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.options import EstimatorOptions
assert "onnxruntime" not in sys.modules  # the hot path itself needs no engine
artifact = find_artifact(sys.argv[1])
estimator = DepthEstimator(artifact.load("onnxruntime"), artifact.network, EstimatorOptions(output_size="camera"))
frame = decode_raw(RawImage("bgr8", 120, 160, 480, False, bytes(120 * 480)))
assert estimator(frame).depth.shape == (120, 160)
assert "pytorch" in backend_names()
"""
EVALUATION = "import sys, fastdepth_ros.train.evaluation, fastdepth_ros.metrics.depth, fastdepth_ros.backends"
VERB = """
import sys
from fastdepth_ros.cli import main
assert main(["image", sys.argv[2], "--model", sys.argv[1], "--out", sys.argv[3]]) == 0
"""


def loaded_by(script: str, *arguments: object) -> set[str]:
    """Top-level modules that are loaded after a script, in a process of its own."""
    ending = "\nprint('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script + ending, *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.needs("importlinter")
def test_every_import_contract_is_kept():
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_a_frame_becomes_depth_without_torch_or_ros_by_one_engine_alone(artifact_folder):
    loaded = loaded_by(FRAME_TO_DEPTH, artifact_folder)
    assert "onnxruntime" in loaded
    assert not loaded & set(HEAVY)


def test_a_verb_that_runs_onnx_loads_neither_torch_nor_ros(artifact_folder, tmp_path):
    import numpy as np

    np.save(tmp_path / "rgb.npy", np.zeros((64, 64, 3), np.uint8))
    loaded = loaded_by(VERB, artifact_folder, tmp_path / "rgb.npy", tmp_path / "depth.npy")
    assert "onnxruntime" in loaded
    assert not loaded & set(HEAVY)


def test_evaluation_needs_no_torch():
    assert not loaded_by(EVALUATION) & set(HEAVY)
