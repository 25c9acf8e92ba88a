"""The node with backend tvm: it runs a compiled model, and a module that it cannot run does not end it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("tvm", reason="tvm is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from ros_graph import CameraDriver, Diagnostics, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame


def test_a_compiled_model_gives_the_depth_of_its_source_model(graph, artifact_folder, compiled_folder):
    graph.activated(compiled_folder, backend="tvm", threads=1)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    pixels = picture()
    camera.send(7, pixels)
    wait_until(lambda: depths.heard, "depth")
    artifact = find_artifact(artifact_folder)
    expected = DepthEstimator(artifact.load(), artifact.network)(Frame(pixels, "bgr")).depth
    np.testing.assert_allclose(depth_of(depths.heard[0]), expected, atol=1e-4)


def test_a_module_of_another_tvm_leaves_the_node_unconfigured_and_told(graph, compiled_folder, tmp_path):
    folder = shutil.copytree(compiled_folder, tmp_path / "old")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["tvm"]["tvm"] = "0.1.2"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    node = graph.fastdepth(model=folder, backend="tvm")
    diagnostics = Diagnostics(graph)
    graph.do(node.autostart)
    assert diagnostics.told("pip install apache-tvm==0.1.2").level == DiagnosticStatus.ERROR
    assert graph.change(node, model=str(compiled_folder)) == ""
    graph.go(node, "configure")
