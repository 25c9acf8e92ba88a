"""The node with networks of other projects: swapped in while frames flow, relative ones, ones that take the camera."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from foreign import NETWORKS, known_function, write
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from ros_graph import KINECT_K, CameraDriver, Diagnostics, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import CameraInfo, Image

from fastdepth_ros.cli import main


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("imported")
    for name in ("depth-anything-v2", "midas-small", "unidepth"):
        given = ["--out", folder / name, "--license", "CC-BY-NC-4.0, research only", *NETWORKS[name].options]
        assert main([str(one) for one in ["models", "import", write(name, folder), *given, "--yes"]]) == 0
    return {name: folder / name for name in ("depth-anything-v2", "midas-small", "unidepth")}


def test_an_imported_network_takes_over_by_a_parameter_without_loss(graph, artifact_folder, imported):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    answers, swap = [], [Parameter("model", value=str(imported["depth-anything-v2"])).to_parameter_msg()]
    camera.send(1, picture())
    wait_until(lambda: depths.stamps() == [1], "depth of the first network")
    request = SetParameters.Request(parameters=swap)
    asking = threading.Thread(target=lambda: answers.append(graph.call(SetParameters, "set_parameters", request)))
    asking.start()
    sent = [1]

    def send() -> None:
        """Send the next frame, and wait for its depth as long as it may take on a busy machine."""
        sent.append(sent[-1] + 1)
        camera.send(sent[-1], picture())
        ends_at = time.monotonic() + 10
        while depths.stamps()[-1:] != sent[-1:] and time.monotonic() < ends_at:
            time.sleep(0.005)

    while not answers or len(sent) < 6:
        send()
    for _ in range(5):
        send()
    asking.join()
    assert answers[0].results[0].successful
    lost = set(sent) - set(depths.stamps())
    assert len(lost) <= 1
    shapes = [depth_of(message).shape for message in depths.heard]
    assert shapes[0] == (224, 224) and shapes[-1] == (252, 336)
    wait_until(lambda: diagnostics.facts["model"] == "depth-anything-v2", "its name on /diagnostics")
    assert diagnostics.facts["license"] == "CC-BY-NC-4.0, research only"
    assert diagnostics.facts["confidence"] == "none"


def test_the_node_computes_what_an_imported_network_says_and_its_camera(graph, imported):
    graph.activated(imported["depth-anything-v2"])
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    infos, diagnostics = Listener(graph, "/depth/camera_info", CameraInfo), Diagnostics(graph)
    camera.wait()
    camera.send_info(1, 240, 320)
    time.sleep(0.3)
    camera.send(1, np.full((240, 320, 3), 128, np.uint8))
    wait_until(lambda: depths.heard and infos.heard, "depth and its camera_info")
    wanted = known_function(np.full((1, 1, 3), 128, np.uint8))[0, 0]
    np.testing.assert_allclose(depth_of(depths.heard[0]), wanted, rtol=1e-5)
    info = infos.heard[0]
    assert (info.height, info.width) == (252, 336)
    assert info.k[0] / info.k[4] == pytest.approx(1.0, abs=0.02)  # not squeezed
    diagnostics.heard.clear()
    camera.send(2, picture())
    assert "does not follow the lens" in diagnostics.told("not scaled", "camera_info").message


def test_a_relative_network_is_told_at_each_start_and_refuses_meters(graph, imported):
    node = graph.activated(imported["midas-small"])
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    wait_until(lambda: depths.heard, "depth")
    assert "calibrate-scale" in diagnostics.told("midas-small is not in meters").message
    assert "not in meters" in graph.change(node, max_depth_m=5.0)
    graph.go(node, "deactivate", "cleanup")
    assert graph.change(node, points=True) == ""
    graph.begin(node.trigger_configure)
    wait_until(lambda: "points are asked for" in node.trouble, "a refusal of points")


def test_a_network_that_takes_the_camera_says_that_it_lacks_it(graph, imported):
    graph.activated(imported["unidepth"])
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    told = diagnostics.told("takes the camera matrix, and there is no camera_info", "camera_info")
    assert told.level == b"\x02" and "hfov_deg" in told.message
    assert diagnostics.facts["camera_needed"] == "1" and not depths.heard


def test_a_network_that_takes_the_camera_waits_for_it(graph, imported):
    graph.activated(imported["unidepth"], camera_info_wait_s=30.0)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    camera.send(1, np.full((480, 640, 3), 128, np.uint8))
    time.sleep(0.5)
    assert not depths.heard
    camera.send_info(2)
    time.sleep(0.3)
    camera.send(2, np.full((480, 640, 3), 128, np.uint8))
    wait_until(lambda: depths.heard, "depth")
    wanted = known_function(np.full((1, 1, 3), 128, np.uint8))[0, 0] * KINECT_K[0] * 252 / 480 / 100
    np.testing.assert_allclose(np.median(depth_of(depths.heard[-1])), wanted, rtol=1e-4)
