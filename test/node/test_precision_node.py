"""The node runs the precision that it was asked for, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.depth.frame import Frame

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import CameraDriver, Diagnostics, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import Image


@pytest.fixture(scope="module")
def int8(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fastdepth_ros.deploy.quantize import quantize_artifact

    frames = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    folder = tmp_path_factory.mktemp("int8") / "tiny-int8"
    quantize_artifact(find_artifact(artifact_folder), "int8", folder, frames, "noise", 1)
    return folder


@pytest.mark.needs("onnx")
def test_the_node_runs_int8_on_bgr_bytes_and_says_so(graph, int8):
    graph.activated(int8, precision="int8", channels="bgr", power_save=True)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    wait_until(lambda: depths.heard, "depth")
    artifact = find_artifact(int8)
    off_m = {}
    for precision in ("int8", "fp32"):
        estimate = artifact.estimator(artifact.load(options=BackendOptions(precision=precision)))
        expected = estimate(Frame(picture(), "bgr")).depth
        off_m[precision] = np.nanmean(np.abs(expected - depth_of(depths.heard[-1])))
    assert off_m["int8"] < 0.1 * off_m["fp32"]
    assert diagnostics.facts["backend"].endswith("(cpu, int8)")


def test_a_precision_that_the_model_lacks_is_refused_and_not_replaced(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder, precision="int8")
    assert graph.do(node.trigger_configure) != TransitionCallbackReturn.SUCCESS
