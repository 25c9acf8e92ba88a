"""Frames that nobody needs: no subscriber, a pause, a limited rate, one frame on request."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import end

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from ros_graph import CameraDriver, Diagnostics, Listener, picture, wait_until
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_srvs.srv import SetBool, Trigger

from fastdepth_ros.node.camera import Pace

PERIOD_S = 1 / 30
IDLE_SHARE = 0.03  # of a core
PRODUCTS = {
    "/depth/image": (Image, {}),
    "/depth/image_raw": (Image, {"depth_encoding": "16UC1"}),
    "/depth/image_color": (Image, {}),
    "/depth/image/compressedDepth": (CompressedImage, {}),
    "/depth/points": (PointCloud2, {"points": True}),
}


def subscriptions(graph, topic: str = "/image") -> int:
    """Number of the node's subscriptions of a topic, as the camera's process sees them."""
    return graph.peer.count_subscribers(topic)


@pytest.mark.parametrize("topic", PRODUCTS)
def test_an_image_is_subscribed_while_its_product_is_and_idle_is_told(graph, artifact_folder, topic):
    kind, parameters = PRODUCTS[topic]
    node = graph.activated(artifact_folder, **parameters)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    status = diagnostics.told("idle: nobody subscribes")
    assert status.level == DiagnosticStatus.OK and not subscriptions(graph)
    wait_until(lambda: subscriptions(graph, "/camera_info"), "camera_info, which stays subscribed")

    heard: list = []
    subscription = graph.do(lambda: graph.peer.create_subscription(kind, topic, heard.append, 10))

    def sent():
        camera.send_info(1, 240, 320)
        camera.send(1, picture())
        time.sleep(PERIOD_S)
        return heard

    wait_until(sent, "the product")
    diagnostics.heard.clear()
    wait_until(lambda: "idle" not in diagnostics.newest.message, "the end of idleness")

    graph.do(lambda: graph.peer.destroy_subscription(subscription))
    wait_until(lambda: not subscriptions(graph), "the node to unsubscribe")
    assert graph.change(node, lazy=False) == ""
    wait_until(lambda: subscriptions(graph), "the node to subscribe for nobody")


def test_a_camera_info_heard_while_idle_scales_the_first_depth(graph, artifact_folder):
    graph.activated(artifact_folder, camera_info_wait_s=60.0)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    diagnostics.told("idle")
    wait_until(lambda: subscriptions(graph, "/camera_info"), "camera_info")
    for number in range(1, 20):  # more than its queue holds
        camera.send_info(number)
        time.sleep(0.02)
    depths = Listener(graph, "/depth/image", Image)
    wait_until(lambda: camera.send(20, picture(480, 640)) or time.sleep(PERIOD_S) or depths.heard, "depth")
    assert diagnostics.facts["held"] == "0"
    wait_until(lambda: diagnostics.facts.get("focal scale") not in (None, "1"), "the scale")


def test_the_first_depth_comes_within_half_a_second_of_a_subscriber(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    diagnostics.told("idle")
    took_s = []
    for _ in range(5):  # the best of them: what the node takes where the machine lets it
        wait_until(lambda: not node.count_subscribers("/image"), "the node to be idle")
        heard: list = []
        started = time.monotonic()
        subscription = graph.do(
            lambda heard=heard: graph.peer.create_subscription(Image, "/depth/image", heard.append, 1)
        )
        while not heard and time.monotonic() < started + 60:
            camera.send(1, picture())
            time.sleep(PERIOD_S)
        took_s.append(time.monotonic() - started)
        graph.do(lambda subscription=subscription: graph.peer.destroy_subscription(subscription))
    assert min(took_s) < 0.5, took_s


def cpu_s(pid: int) -> float:
    """Processor time of a process and its threads so far, on the scheduler's clock."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def test_an_idle_node_takes_almost_no_processor_time_at_30_frames_a_second(graph, artifact_folder):
    camera, diagnostics, pixels = CameraDriver(graph), Diagnostics(graph), picture(480, 640)
    command = [sys.executable, "-m", "fastdepth_ros.node.node", "--ros-args", "-p", f"model:={artifact_folder}"]
    node = subprocess.Popen(command)

    def send(seconds: float) -> float:
        """Share of a core that the node takes meanwhile."""
        before_s, began = cpu_s(node.pid), time.monotonic()
        for number in range(round(seconds / PERIOD_S)):
            camera.send_info(None)
            camera.send(None, pixels)
            time.sleep(max(0.0, began + (number + 1) * PERIOD_S - time.monotonic()))
        return (cpu_s(node.pid) - before_s) / (time.monotonic() - began)

    try:
        diagnostics.told("idle")
        send(1.0)
        idle = min(send(2.0) for _ in range(3))  # a cold cache, another's work on the core: not the node's
    finally:
        end(node)
    assert 0 < idle < IDLE_SHARE


def test_a_pause_ends_the_subscription_and_one_frame_may_be_asked_for(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder)
    refused = graph.call(Trigger, "estimate_once")
    assert not refused.success and "unconfigured" in refused.message
    graph.go(node, "configure", "activate")
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    assert graph.call(SetBool, "enable", SetBool.Request(data=False)).success
    wait_until(lambda: not subscriptions(graph), "the end of the subscription")

    asked = graph.peer.create_client(Trigger, "/fastdepth/estimate_once").call_async(Trigger.Request())
    wait_until(lambda: camera.send(1, picture()) or time.sleep(PERIOD_S) or asked.done(), "an answer")
    assert asked.result().success and "/depth/image" in asked.result().message
    wait_until(lambda: not subscriptions(graph), "the node to be idle again")
    for _ in range(5):
        camera.send(2, picture())
        time.sleep(PERIOD_S)
    assert depths.stamps() == [1]


def test_one_frame_without_depth_is_answered_with_the_reason(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera = CameraDriver(graph)
    asked = graph.peer.create_client(Trigger, "/fastdepth/estimate_once").call_async(Trigger.Request())
    wait_until(lambda: camera.send(1, picture(), encoding="what8") or time.sleep(PERIOD_S) or asked.done(), "an answer")
    assert not asked.result().success and "what8" in asked.result().message


def test_a_limit_of_the_rate_skips_frames_and_is_no_stall(graph, artifact_folder):
    graph.activated(artifact_folder, max_rate_hz=2.0)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    depths = Listener(graph, "/depth/image", Image)
    camera.wait()
    began = time.monotonic()
    for number in range(1, 61):
        camera.send(number, picture())
        time.sleep(PERIOD_S)
    took_s = time.monotonic() - began
    wait_until(lambda: diagnostics.facts.get("received") == "60", "its counts")
    counts = {name: int(diagnostics.facts[name]) for name in ("published", "skipped", "replaced")}
    assert sum(counts.values()) == 60 and 1 < counts["published"] <= took_s * 2 + 2
    assert len(depths.heard) == counts["published"]


@pytest.mark.parametrize(("rate_hz", "limit_hz", "taken"), [(30, 20, 20), (30, 15, 15), (30, 7, 7), (10, 30, 10)])
def test_a_limit_takes_its_share_of_evenly_spaced_frames(rate_hz, limit_hz, taken):
    pace = Pace()
    frames = [pace.allows(1000 + number / rate_hz + 1e-6, limit_hz) for number in range(10 * rate_hz)]
    assert abs(sum(frames) - 10 * taken) <= 1
