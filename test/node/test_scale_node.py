"""The node's meters on a real graph: scaled to the camera, honest beyond a range, steady, of the right engine."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.manifest import MANIFEST
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.metrics.depth import temporal_noise

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import KINECT_K, CameraDriver, Diagnostics, Listener, depth_of, facts_of, picture, wait_until
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

INFO = "/depth/camera_info"


def unscaled_depth(artifact_folder: Path, pixels: np.ndarray) -> np.ndarray:
    artifact = find_artifact(artifact_folder)
    return DepthEstimator(artifact.load(), artifact.network)(Frame(pixels, "bgr")).depth


def send_camera(camera: CameraDriver, k: list[float], height: int = 480, width: int = 640) -> None:
    camera.publish_info(CameraInfo(height=height, width=width, k=k))
    time.sleep(0.3)


def test_depth_is_scaled_to_the_focal_length_in_camera_info(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    longer = [value * 1.5 if place in (0, 4) else value for place, value in enumerate(KINECT_K)]
    send_camera(camera, longer)
    pixels = picture(480, 640)
    camera.send(1, pixels)
    wait_until(lambda: depths.heard, "depth")
    np.testing.assert_allclose(depth_of(depths.heard[0]), 1.5 * unscaled_depth(artifact_folder, pixels), rtol=2e-3)
    wait_until(lambda: "focal scale" in diagnostics.facts, "the scale")
    assert float(diagnostics.facts["focal scale"]) == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize(("given", "scale"), [("1.25", 1.25), ("off", 1.0), ('"0.5"', 0.5)])
def test_the_scale_can_be_fixed_on_the_command_line(graph, artifact_folder, given, scale):
    graph.activated(artifact_folder, focal_scale=given)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    pixels = picture()
    camera.send(1, pixels)
    wait_until(lambda: depths.heard, "depth")
    np.testing.assert_allclose(depth_of(depths.heard[0]), scale * unscaled_depth(artifact_folder, pixels), rtol=1e-5)
    status = diagnostics.told("no camera_info")
    assert "not scaled" not in status.message and facts_of(status)["unscaled"] == "0"


def test_a_scale_that_is_none_is_refused_with_what_it_can_be(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder, focal_scale="half")
    assert graph.do(node.trigger_configure) == TransitionCallbackReturn.FAILURE
    assert "auto, off, or a number" in node.trouble
    assert "auto, off, or a number" in graph.change(node, focal_scale=-1.0)
    assert graph.change(node, focal_scale=1.1) == ""


@pytest.mark.parametrize(
    ("k", "size", "finding", "why"),
    [
        (None, (480, 640), "camera_info_silent", "there is no camera_info"),
        ([0.0] * 9, (480, 640), "camera_info_uncalibrated", "not calibrated: K has the focal lengths 0 and 0"),
        (KINECT_K, (400, 640), "camera_info_mismatch", "is of 640x400, frames are 640x480"),
    ],
    ids=["none", "all zero", "another size"],
)
def test_without_the_focal_length_depth_is_unscaled_and_the_cause_is_told(
    graph, artifact_folder, k, size, finding, why
):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics, infos = Diagnostics(graph), Listener(graph, INFO, CameraInfo)
    camera.wait()
    if k is not None:
        send_camera(camera, k, *size)
    pixels = picture(480, 640)
    camera.send(1, pixels)
    wait_until(lambda: depths.heard, "depth")
    np.testing.assert_allclose(depth_of(depths.heard[0]), unscaled_depth(artifact_folder, pixels), rtol=1e-6)

    text = "no depth/camera_info, and depth is not scaled to the camera's focal length"
    status = diagnostics.told(text, "camera_info")
    assert status.level == DiagnosticStatus.WARN and facts_of(status)["findings"] == finding
    figures = diagnostics.facts
    assert figures["unscaled"] == "1" and why in figures["focal scale"]
    assert not infos.heard


def test_a_camera_info_of_the_sensor_is_read_through_binning_and_region(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    infos = Listener(graph, INFO, CameraInfo)
    camera.wait()
    k = [1556.574, 0.0, 800.0, 0.0, 1558.41, 600.0, 0.0, 0.0, 1.0]
    info = CameraInfo(height=1200, width=1600, k=k, binning_x=2, binning_y=2)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 160, 120, 1280, 960
    camera.publish_info(info)
    time.sleep(0.3)
    pixels = picture(480, 640)
    camera.send(1, pixels)
    wait_until(lambda: depths.heard and infos.heard, "depth and its camera_info")
    np.testing.assert_allclose(depth_of(depths.heard[0]), 1.5 * unscaled_depth(artifact_folder, pixels), rtol=2e-3)
    sent = infos.heard[0]
    assert sent.k[0] == pytest.approx(1.5 * 518.858 * 224 / 584) and sent.p[0] == sent.k[0]  # P was all 0
    assert (sent.binning_x, sent.roi.width, list(sent.r)) == (0, 0, [1, 0, 0, 0, 1, 0, 0, 0, 1])


def test_depth_is_held_back_until_the_first_camera_info_of_each_activation(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder, camera_info_wait_s=60.0)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    wait_until(lambda: node.count_publishers("/camera_info"), "discovery")
    pixels = picture(480, 640)
    longer = [value * 1.5 if place in (0, 4) else value for place, value in enumerate(KINECT_K)]
    for number in (1, 2):
        graph.go(node, "configure", "activate")
        camera.wait()
        diagnostics.heard.clear()
        for _ in range(3):
            camera.send(number, pixels)
        diagnostics.told("held back for the first camera_info on /camera_info", "camera_info")
        assert depths.stamps() == list(range(1, number))
        send_camera(camera, longer)
        wait_until(lambda number=number: depths.stamps() == list(range(1, number + 1)), "the newest frame's depth")
        np.testing.assert_allclose(depth_of(depths.heard[-1]), 1.5 * unscaled_depth(artifact_folder, pixels), rtol=2e-3)
        graph.go(node, "deactivate", "cleanup")


@pytest.mark.parametrize(
    ("parameters", "publisher"),
    [({"camera_info_wait_s": 0.5}, True), ({"focal_scale": 1.0}, True), ({"focal_scale": "off"}, True), ({}, False)],
    ids=["the wait ends", "a number", "off", "no publisher"],
)
def test_depth_is_held_for_a_camera_info_that_can_come_and_that_counts(graph, artifact_folder, parameters, publisher):
    node = graph.activated(artifact_folder, **{"camera_info_wait_s": 60.0, **parameters})
    info_topic = "/camera_info" if publisher else "/other/camera_info"
    camera, depths = CameraDriver(graph, info_topic=info_topic), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait(info=False)
    wait_until(lambda: node.count_publishers(info_topic), "discovery")
    camera.send(1, picture())
    wait_until(lambda: depths.stamps() == [1], "depth")
    text = "has 1 publishers" if publisher else "which has no publisher"
    diagnostics.told(text, "camera_info")


def test_a_network_whose_scale_follows_no_lens_is_told(graph, artifact_folder, tmp_path):
    folder = Path(shutil.copytree(artifact_folder, tmp_path / "old"))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["focal"] = {"rule": "none"}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    graph.activated(folder, lazy=False)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    camera.wait()
    send_camera(camera, KINECT_K)
    camera.send(1, picture(480, 640))
    assert "does not follow the lens" in diagnostics.told("not scaled").message


def test_a_stated_focal_length_holds_until_a_camera_info_is_heard(graph, artifact_folder):
    stated_px = 1.5 * KINECT_K[0]
    node = graph.activated(artifact_folder, focal_px=stated_px, camera_info_wait_s=60.0)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)  # it publishes camera_info, but not now
    depths, infos = Listener(graph, "/depth/image", Image), Listener(graph, INFO, CameraInfo)
    camera.wait()
    pixels = picture(480, 640)
    camera.send(1, pixels)
    wait_until(lambda: depths.heard and infos.heard, "depth, without a wait")
    np.testing.assert_allclose(depth_of(depths.heard[0]), 1.5 * unscaled_depth(artifact_folder, pixels), rtol=2e-3)
    assert infos.heard[0].k[0] == pytest.approx(stated_px * 224 / 584)
    wait_until(lambda: "focal_px" in diagnostics.facts.get("camera_info", ""), "a word on it")

    send_camera(camera, KINECT_K)
    camera.send(2, pixels)
    wait_until(lambda: depths.stamps() == [1, 2], "depth")
    np.testing.assert_allclose(depth_of(depths.heard[1]), unscaled_depth(artifact_folder, pixels), rtol=2e-3)
    assert diagnostics.told("differs by over 5 %", "camera_info").level == DiagnosticStatus.WARN
    assert "set one of them to 0" in graph.change(node, hfov_deg=70.0)


def test_a_lens_that_distorts_is_told_unless_the_topic_is_rectified(graph, artifact_folder):
    diagnostics, facts = Diagnostics(graph), []
    for topic in ("/image_raw", "/image_rect"):
        node = graph.activated(artifact_folder, remap={"image": topic})
        camera, depths = CameraDriver(graph, topic), Listener(graph, "/depth/image", Image)
        camera.wait()
        camera.send_info(1)
        time.sleep(0.3)
        camera.send(1, picture(480, 640))
        wait_until(lambda depths=depths: depths.heard, "depth")
        diagnostics.heard.clear()
        wait_until(lambda: diagnostics.facts.get("published") == "1", "a word on it")
        facts.append(diagnostics.facts)
        graph.go(node, "deactivate", "cleanup")
    assert "plumb_bob distortion, not rectified" in facts[0]["lens"]
    assert "lens" not in facts[1]


def test_an_undistorting_node_gives_the_depth_of_opencvs_picture(graph, artifact_folder):
    graph.activated(artifact_folder, undistort=True, camera_info_wait_s=60.0)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    infos, diagnostics = Listener(graph, INFO, CameraInfo), Diagnostics(graph)
    camera.wait()
    d, pixels = [-0.3, 0.1, 0.001, 0.002, 0.0], picture(480, 640)
    k = np.reshape(KINECT_K, (3, 3))
    info = CameraInfo(height=480, width=640, k=KINECT_K, d=d, distortion_model="plumb_bob")
    info.p = np.hstack([k, np.zeros((3, 1))]).ravel()
    camera.send(1, pixels)  # is held back: without its lens it cannot be undistorted
    wait_until(lambda: diagnostics.facts.get("held") == "1", "the frame to be held")
    camera.publish_info(info)
    wait_until(lambda: depths.heard and infos.heard, "depth")
    artifact = find_artifact(artifact_folder)
    without = Frame(cv2.undistort(pixels, k, np.array(d), None, k), "bgr")
    expected = artifact.estimator(artifact.load())(without, np.array(KINECT_K)).depth
    np.testing.assert_allclose(depth_of(depths.heard[0]), expected, atol=1e-3)
    assert not any(infos.heard[0].d) and infos.heard[0].k[0] == pytest.approx(KINECT_K[0] * 224 / 584)
    wait_until(lambda: "undistort p50 [ms]" in diagnostics.facts, "the cost")

    info.distortion_model = "what"
    camera.publish_info(info)
    time.sleep(0.3)
    camera.send(2, pixels)
    assert "'what' cannot be undistorted" in diagnostics.told("not undistorted", "camera_info").message
    assert depths.heard


def test_a_stated_focal_length_is_no_lens_to_undistort_by(graph, artifact_folder):
    graph.activated(artifact_folder, undistort=True, focal_px=500.0)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    assert "says no distortion" in diagnostics.told("not undistorted", "camera_info").message
    assert depths.heard


def test_depth_beyond_the_maximum_is_infinite(graph, artifact_folder):
    pixels = picture()
    expected = unscaled_depth(artifact_folder, pixels)
    limit = round(float(np.nanmedian(expected)), 3)
    graph.activated(artifact_folder, max_depth_m=limit)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    colors = Listener(graph, "/depth/image_color", Image)
    camera.wait()
    wait_until(lambda: graph.peer.count_publishers("/depth/image_color"), "discovery")
    time.sleep(0.3)
    camera.send(1, pixels)
    wait_until(lambda: depths.heard and colors.heard, "depth")
    np.testing.assert_array_equal(np.isposinf(depth_of(depths.heard[0])), expected > np.float32(limit))
    colored = np.frombuffer(colors.heard[0].data, np.uint8).reshape(224, 224, 3)
    assert colored[expected > limit].any(axis=-1).all()  # far, not the black of what is invalid


def test_millimeters_are_published_as_image_raw_with_zero_for_no_depth(graph, artifact_folder):
    pixels = picture()
    expected = unscaled_depth(artifact_folder, pixels)
    limit = round(float(np.nanmedian(expected)), 3)
    graph.activated(artifact_folder, max_depth_m=limit, depth_encoding="16UC1")
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image_raw", Image)
    camera.wait()
    wait_until(lambda: graph.peer.count_publishers("/depth/image_raw"), "discovery")
    camera.send(3, pixels)
    wait_until(lambda: depths.heard, "depth")
    message = depths.heard[0]
    assert (message.encoding, message.step, message.header.stamp.sec) == ("16UC1", 448, 3)
    found = np.frombuffer(message.data, np.uint16).reshape(224, 224)
    within = expected <= np.float32(limit)
    np.testing.assert_allclose(found[within], expected[within] * 1000, atol=0.51)
    assert not found[~within].any()
    wait_until(lambda: not graph.peer.count_publishers("/depth/image"), "no publisher of the other encoding")


@pytest.mark.parametrize(("strength", "steadier"), [(0.0, False), (0.8, True)])
def test_the_filter_over_time_steadies_a_still_scene(graph, artifact_folder, strength, steadier):
    """Frames of one scene with the noise of a camera; what the network makes of it flickers."""
    graph.activated(artifact_folder, temporal_filter=strength)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    scene, generator = picture().astype(np.int16), np.random.default_rng(0)
    frames = [(scene + generator.normal(0, 2, scene.shape)).clip(0, 255).astype(np.uint8) for _ in range(16)]
    for number, pixels in enumerate(frames):
        camera.send(number, pixels)
        wait_until(lambda number=number: depths.stamps()[-1:] == [number], "depth")
    published = temporal_noise(np.stack([depth_of(message) for message in depths.heard[6:]]))
    unfiltered = temporal_noise(np.stack([unscaled_depth(artifact_folder, pixels) for pixels in frames[6:]]))
    assert published["std_m"] < 0.6 * unfiltered["std_m"] if steadier else True
    assert steadier or published["std_m"] == pytest.approx(unfiltered["std_m"], rel=1e-3)


def test_an_engine_that_computes_otherwise_by_now_is_refused_on_activation(graph, artifact_folder, odd_backend):
    node = graph.fastdepth(model=artifact_folder, backend="odd")
    diagnostics = Diagnostics(graph)
    graph.go(node, "configure")
    odd_backend.off_m = 0.25
    assert graph.do(node.trigger_activate) == TransitionCallbackReturn.FAILURE
    status = diagnostics.told("off by 0.25")
    assert status.level == DiagnosticStatus.ERROR and facts_of(status)["state"] == "inactive"
    assert graph.peer.count_subscribers("/image") == 0
    odd_backend.off_m = 0.0
    graph.go(node, "activate")
    assert node.trouble == ""


def test_the_golden_frame_is_checked_on_demand(graph, artifact_folder, odd_backend):
    node = graph.fastdepth(model=artifact_folder, backend="odd")
    unconfigured = graph.call(Trigger, "check_golden")
    assert not unconfigured.success and "not configured" in unconfigured.message
    graph.do(node.autostart)
    good = graph.call(Trigger, "check_golden")
    assert good.success and good.message.startswith("off by 0.000")
    odd_backend.off_m = 0.25
    bad = graph.call(Trigger, "check_golden")
    assert not bad.success and "off by 0.25" in bad.message


def test_the_check_never_meets_a_frame_in_the_engine(graph, artifact_folder, odd_backend):
    graph.activated(artifact_folder, backend="odd")
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    sending = threading.Event()
    sent = []

    def send() -> None:
        while not sending.is_set():
            camera.send(len(sent), picture())
            sent.append(len(sent))
            time.sleep(0.005)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        answers = [graph.call(Trigger, "check_golden") for _ in range(20)]
    finally:
        sending.set()
        thread.join()
    assert all(answer.success for answer in answers), answers
    wait_until(lambda: depths.stamps()[-1:] == sent[-1:], "depth of the last frame")
