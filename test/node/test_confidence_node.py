"""depth/confidence of a node on a real graph, and depth below min_confidence."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_graph import CameraDriver, Diagnostics, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import Image, PointCloud2

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.depth.points import points_of
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.messages import ImageBytes


def test_confidence_comes_on_the_depths_grid_while_somebody_subscribes(graph, confident_folder, monkeypatch):
    made = []
    real = ImageBytes.__call__
    monkeypatch.setattr(ImageBytes, "__call__", lambda self, *given: made.append(given[1].max()) or real(self, *given))
    graph.activated(confident_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    camera.send(1, picture(480, 640))
    wait_until(lambda: depths.stamps() == [1], "depth")
    assert len(made) == 1
    confidences = Listener(graph, "/depth/confidence", Image)
    graph.wait_for_listeners()
    camera.send(2, picture(480, 640))
    wait_until(lambda: confidences.heard and len(depths.heard) == 2, "confidence")
    message = confidences.heard[0]
    assert message.header == depths.heard[1].header
    assert (message.encoding, message.height, message.width) == ("32FC1", 224, 224)
    artifact = find_artifact(confident_folder)
    expected = artifact.estimator(artifact.load())(Frame(picture(480, 640), "bgr")).confidence
    np.testing.assert_allclose(depth_of(message), expected, atol=1e-5)
    assert 0 <= depth_of(message).min() < depth_of(message).max() <= 1


def test_the_nodes_own_images_are_not_offered_as_a_camera(graph, confident_folder):
    diagnostics, confidences = Diagnostics(graph), Listener(graph, "/depth/confidence", Image)
    graph.activated(confident_folder)
    CameraDriver(graph, topic="/eye/image_raw")
    message = diagnostics.told("/eye/image_raw").message
    assert not confidences.heard and "published on: /eye/image_raw" in message and "/depth" not in message


def test_depth_and_points_leave_out_what_is_too_uncertain(graph, confident_folder):
    artifact = find_artifact(confident_folder)
    said = artifact.estimator(artifact.load())(Frame(picture(480, 640), "bgr")).confidence
    limit = float(np.median(said))
    node = graph.activated(confident_folder, min_confidence=limit, points=True, points_max_slant_deg=90.0,
                           points_min_cluster=0)  # fmt: skip
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    clouds = Listener(graph, "/depth/points", PointCloud2)
    camera.wait()
    camera.send_info(1)
    camera.send(1, picture(480, 640))
    wait_until(lambda: depths.heard and clouds.heard, "depth and points")
    depth, intensity = depth_of(depths.heard[0]), points_of(clouds.heard[0])[:, 3]
    np.testing.assert_array_equal(
        np.isnan(depth)[np.abs(said - limit) > 1e-5], (said < limit)[np.abs(said - limit) > 1e-5]
    )
    assert intensity.min() >= limit - 1e-5 and intensity.std() > 0
    assert graph.change(node, min_confidence=0.0) == ""


def test_a_model_without_confidence_publishes_none_and_refuses_the_gate(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    confidences, diagnostics = Listener(graph, "/depth/confidence", Image), Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    wait_until(lambda: depths.heard, "depth")
    assert "no calibrated confidence" in graph.change(node, min_confidence=0.5)
    assert diagnostics.facts["confidence"] == "none" and not confidences.heard


@pytest.mark.parametrize("output_size", ["network", "camera"])
def test_the_gate_holds_on_either_grid(confident_folder, output_size):
    artifact = find_artifact(confident_folder)
    backend, frame = artifact.load(), Frame(picture(240, 320), "bgr")
    open_gate = artifact.estimator(backend, EstimatorOptions(output_size=output_size))(frame)
    limit = float(np.median(open_gate.confidence[open_gate.confidence > 0]))
    gated = artifact.estimator(backend, EstimatorOptions(output_size=output_size, min_confidence=limit))(frame)
    assert gated.depth.shape == open_gate.depth.shape
    assert 0.3 < np.isnan(gated.depth).mean() - np.isnan(open_gate.depth).mean() < 0.7
    with pytest.raises(FastDepthError, match="min_confidence is 2"):
        EstimatorOptions(min_confidence=2)
