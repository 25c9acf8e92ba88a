"""The live view: beside a running node on a real graph, in a real browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import WEBGL_FLAGS, chromium, find_all, screenshot, until
from processes import environment

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("rerun", reason="rerun is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_graph import CameraDriver, Diagnostics, Listener, picture, wait_until
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from fastdepth_ros.cli import main
from fastdepth_ros.depth.points import points_of
from fastdepth_ros.ros_tools.viewer import Viewer
from fastdepth_ros.view.live_view import Moment

ROOT = Path(__file__).resolve().parent.parent.parent
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MAGENTA_BGR = (200, 20, 220)  # no color of the viewer, nor of depth
Part = Callable[[np.ndarray], bool]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def saturated(picture: np.ndarray) -> np.ndarray:
    """Share of strongly colored pixels: of the viewer's own there is almost none."""
    return ((picture.max(axis=-1).astype(int) - picture.min(axis=-1)) > 60).mean()


PARTS: dict[str, Part] = {  # rows and columns of the window that each panel has
    "point cloud": lambda shot: saturated(shot[70:380, 10:440]) > 0.01,
    "frame": lambda shot: (np.abs(shot[70:210, 460:665].astype(int) - MAGENTA_BGR).max(axis=-1) < 25).mean() > 0.3,
    "depth": lambda shot: saturated(shot[70:210, 690:890]) > 0.3,
    "stage times": lambda shot: saturated(shot[225:300, 580:890]) > 0.01,
}


class Told:
    """A viewer that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.moments: list[Moment] = []

    def show(self, moment: Moment) -> None:
        self.moments.append(moment)

    def show_health(self, text: str, level: int) -> None:
        self.texts.append(text)


@pytest.mark.parametrize("option", ["--depth-topic", "--image-topic"])
def test_a_topic_that_ros_2_does_not_allow_is_named(capsys, option):
    assert main(["view", option, "/cam-1/image"]) == 1
    assert "/cam-1/image" in capsys.readouterr().err


def test_a_running_node_is_shown_with_frame_depth_and_stage_times(graph, artifact_folder):
    graph.activated(artifact_folder, remap={"image": "/eye/image_raw"})
    told, camera = Told(), CameraDriver(graph, "/eye/image_raw")
    graph.do(lambda: graph.add(Viewer(told, "/depth/image", "", 10.0, context=graph.context)))
    camera.wait()
    pixels = np.full((480, 640, 3), MAGENTA_BGR, np.uint8)
    sent = iter(range(1, 999))

    def shown() -> Moment | None:
        number = next(sent)
        camera.send_info(number)
        camera.send(number, pixels)
        time.sleep(0.2)  # the view shows at most 10 a second
        return next((moment for moment in told.moments if moment.bgr is not None and moment.k is not None), None)

    moment = wait_until(shown, "a frame and its depth")
    assert moment.depth.shape == (224, 224) and (moment.bgr == pixels).all() and (moment.view == MAGENTA_BGR).all()
    assert moment.k[0][0] == pytest.approx(518.858 * 224 / 584)
    wait_until(lambda: any((moment.stages_ms or {}).get("infer", 0) > 0 for moment in told.moments), "stage times")


def test_the_points_of_a_node_are_shown_in_place_of_a_point_for_each_pixel(graph, artifact_folder):
    graph.activated(artifact_folder, points=True)
    told, camera, clouds = Told(), CameraDriver(graph), Listener(graph, "/depth/points", PointCloud2)
    graph.do(lambda: graph.add(Viewer(told, "/depth/image", "/image", 10.0, context=graph.context)))
    camera.wait()
    sent = iter(range(1, 999))

    def shown() -> Moment | None:
        number = next(sent)
        camera.send_info(number)
        camera.send(number, picture(480, 640))
        time.sleep(0.3)
        return next((moment for moment in told.moments if moment.points is not None), None)

    moment = wait_until(shown, "the points")
    (cloud,) = [cloud for cloud in clouds.heard if cloud.header.stamp.sec * 10**9 == moment.stamp_ns]
    np.testing.assert_array_equal(moment.points, points_of(cloud)[:, :3])


@pytest.mark.slow
def test_a_browser_shows_frame_depth_cloud_and_stage_times_of_a_node(graph, artifact_folder, tmp_path):
    node = graph.fastdepth(model=str(artifact_folder), remap={"image": "/eye/image_raw", "camera_info": "/camera_info"})
    graph.do(node.autostart)
    camera, diagnostics = CameraDriver(graph, "/eye/image_raw"), Diagnostics(graph)
    depths = Listener(graph, "/depth/image", Image)
    camera.wait()
    log = tmp_path / "view.log"
    command = [sys.executable, "-m", "fastdepth_ros", "view", "--port", str(free_port()), "--data-port"]
    with log.open("w") as output:
        view = subprocess.Popen(
            [*command, str(free_port())],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
    try:
        wait_until(lambda: "subscribed /eye/image_raw" in log.read_text(), "the view to hear the camera", 60)
        pixels = np.full((480, 640, 3), MAGENTA_BGR, np.uint8)
        for number in range(1, 6):
            camera.send_info(number)
            camera.send(number, pixels)
            time.sleep(0.15)  # the view shows at most 10 a second
            wait_until(lambda number=number: depths.stamps()[-1:] == [number], "depth")
        told = len(diagnostics.heard)
        wait_until(lambda: len(diagnostics.heard) > told + 1, "its stage times")
        graph.go(node, "deactivate")  # a browser that draws without a GPU is spared what is new each second
        url = re.search(r"open (http\S+)", log.read_text())[1]
        with chromium(tmp_path / "profile", *WEBGL_FLAGS, size_px=(900, 560)) as browser:
            browser.get(url)
            until(browser, lambda: len(find_all(browser, "canvas")) == 1, "the viewer's canvas", 300)
            seen: dict[str, bool] = {}

            def complete() -> bool:
                shot = screenshot(browser)
                cv2.imwrite(str(tmp_path / "view.png"), shot)
                seen.update({name: part(shot) for name, part in PARTS.items()})
                return all(seen.values())

            with suppress(AssertionError):
                until(browser, complete, "every panel", 900, period_s=2.0)
            assert seen == dict.fromkeys(PARTS, True), f"look at {tmp_path / 'view.png'}"
    finally:
        view.send_signal(signal.SIGINT)
        assert view.wait(30) in (0, 130), log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_latched_camera_info_that_is_older_than_the_view_is_asked_for(graph):
    publisher = graph.peer.create_publisher(CameraInfo, "/eye/camera_info", LATCHED)
    publisher.publish(CameraInfo(width=640))
    graph.do(lambda: graph.add(Viewer(Told(), "/depth/image", "/eye/image_raw", 10.0, context=graph.context)))

    def asks_for_it() -> bool:
        asked = graph.peer.get_subscriptions_info_by_topic("/eye/camera_info")
        return any(one.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in asked)

    wait_until(asks_for_it, "the latched camera_info")


@pytest.mark.parametrize(
    ("depth_topic", "namespaces"),
    [
        ("/front/depth/image", ("front", "rear")), ("/front/depth/image_raw", ("rear", "front")),
        ("/remapped_depth/image", ("front",)),
    ],
)  # fmt: skip
def test_of_several_nodes_the_one_whose_depth_it_is_names_the_camera(graph, depth_topic, namespaces):
    told = Told()
    graph.do(lambda: graph.add(Viewer(told, depth_topic, "", 10.0, context=graph.context)))
    diagnostics = graph.peer.create_publisher(DiagnosticArray, "/diagnostics", 10)
    wait_until(diagnostics.get_subscription_count, "the view to hear them")
    cameras = [graph.peer.create_publisher(Image, f"/{name}/image_raw", 10) for name in namespaces]
    for name in namespaces:
        topic = KeyValue(key="topic", value=f"/{name}/image_raw")
        status = DiagnosticStatus(name=f"{name}/fastdepth: depth", message=name, values=[topic])
        diagnostics.publish(DiagnosticArray(status=[status]))
    front = cameras[namespaces.index("front")]
    wait_until(lambda: told.texts and front.get_subscription_count(), "the view to choose a camera")
    assert told.texts == ["front"]
    assert sum(camera.get_subscription_count() for camera in cameras) == 1
