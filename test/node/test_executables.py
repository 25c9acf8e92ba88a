"""The executables as launch starts them: processes of their own, on a real graph, ended by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from processes import end
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from fastdepth_ros.cli import main
from fastdepth_ros.depth.camera_info import stamp_ns

pytest.importorskip("rclpy", reason="rclpy is not installed")

from recorded import BAGS, STAMPS_NS, frames, messages
from recorded import IMAGE_TOPIC as IMAGE
from ros_graph import Diagnostics, Graph, Listener, depth_of, wait_until
from sensor_msgs.msg import CameraInfo, Image

from fastdepth_ros.bags.synthetic_bag import CAMERA_INFO_TOPIC, IMAGE_TOPIC, write_synthetic_bag
from fastdepth_ros.node import parameters

REMAP = ["-r", f"image:={IMAGE_TOPIC}", "-r", f"camera_info:={CAMERA_INFO_TOPIC}"]


@pytest.fixture(scope="module")
def room_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "room"
    write_synthetic_bag(path, frames=6, rate_hz=5.0)
    return path


@contextmanager
def process(module: str, *arguments: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", f"fastdepth_ros.{module}", *arguments]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        end(running)


def node(model: Path, *more: str) -> list[str]:
    return ["--ros-args", "-p", f"model:={model}", *REMAP, *more]


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_ends_the_node_with_exit_code_0_also_when_sent_twice(graph, artifact_folder, interrupts):
    with process("node.node", *node(artifact_folder)) as running:
        wait_until(lambda: graph.peer.count_publishers("/depth/image"), "the node")
        for _ in range(interrupts):
            running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 0, errors
        assert "Traceback" not in errors


def test_a_wrong_parameter_type_ends_the_node_with_a_clear_word(domain, artifact_folder):
    with process("node.node", "--ros-args", "-p", "threads:=many") as running:
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 1
        assert "threads" in errors and "Traceback" not in errors


def test_the_node_publishes_for_a_bag_what_fastdepth_bag_writes(graph: Graph, artifact_folder, room_bag, tmp_path):
    depths, infos = Listener(graph, "/depth/image", Image), Listener(graph, "/depth/camera_info", CameraInfo)
    with process("node.node", *node(artifact_folder)):
        wait_until(lambda: graph.peer.count_publishers("/depth/image"), "the node")
        with process("ros_tools.bag_player", str(room_bag), "--wait", "60") as player:
            assert player.wait(timeout=60) == 0
        wait_until(lambda: len(depths.heard) == 6, "six depth images")
    out = tmp_path / "out"
    arguments = ["--image-topic", IMAGE_TOPIC, "--out", str(out), "--model", str(artifact_folder)]
    assert main(["bag", str(room_bag), *arguments]) == 0
    with AnyReader([out]) as reader:
        found = [(c.topic, reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages()]
    written = [message for topic, message in found if topic == "/depth/image"]
    assert [stamp_ns(message) for message in depths.heard] == [stamp_ns(message) for message in written]
    for live, offline in zip(depths.heard, written):
        expected = offline.data.view(np.float32).reshape(224, 224)
        np.testing.assert_allclose(depth_of(live), expected, atol=1e-6)
    by_stamp = {stamp_ns(message): message for topic, message in found if topic == "/depth/camera_info"}
    assert infos.heard
    for info in infos.heard:
        np.testing.assert_allclose(info.k, by_stamp[stamp_ns(info)].k)


def test_a_replayed_bag_brings_its_own_time(graph: Graph, artifact_folder, room_bag):
    depths = Listener(graph, "/depth/image", Image)
    with process("node.node", *node(artifact_folder, "-p", "use_sim_time:=true")):
        wait_until(lambda: graph.peer.count_publishers("/depth/image"), "the node")
        diagnostics = Diagnostics(graph)
        with process("ros_tools.bag_player", str(room_bag), "--wait", "60", "--clock", "--loop"):
            wait_until(
                lambda: any(entry.key == "age p50 [ms]" for a in diagnostics.heard for entry in a.status[0].values),
                "an age",
            )
    ages = [
        float(entry.value) for a in diagnostics.heard for entry in a.status[0].values if entry.key == "age p50 [ms]"
    ]
    assert depths.heard
    assert all(-50 < age < 2000 for age in ages), "age against the wall clock would be years"


@pytest.mark.parametrize(("kind", "restamp"), [("mcap", False), ("mcap", True), ("sqlite3", True), ("ros1", False)])
def test_a_bag_of_every_format_is_played(graph: Graph, tmp_path, kind, restamp):
    images, infos = Listener(graph, "/camera/image_raw", Image), Listener(graph, "/camera/camera_info", CameraInfo)
    more = ["--restamp"] if restamp else []
    with process("ros_tools.bag_player", str(BAGS[kind](tmp_path)), "--wait", "60", "--rate", "2", *more) as player:
        assert player.wait(timeout=60) == 0
    wait_until(lambda: len(images.heard) == 4 and len(infos.heard) == 4, "four frames")
    assert [stamp_ns(message) for message in images.heard] == [stamp_ns(message) for message in infos.heard]
    for message, bgr in zip(images.heard, frames()):
        np.testing.assert_array_equal(np.frombuffer(message.data, np.uint8), bgr.reshape(-1))
    recorded = stamp_ns(images.heard[0]) == STAMPS_NS[0]
    assert recorded is not restamp


def test_names_and_stamps_that_ros_2_has_not_end_no_player(graph: Graph, tmp_path):
    types = get_typestore(Stores.ROS2_HUMBLE)
    _, kind, _, image = messages(types)[1]
    with Writer(tmp_path / "bag", version=9) as writer:
        for topic, nanoseconds in (("/camera/2/image", 0), (IMAGE, 0), (IMAGE, 1)):  # the first as ROS 1 allows it
            image.header.stamp = types.types["builtin_interfaces/msg/Time"](0, nanoseconds)
            known = [one for one in writer.connections if one.topic == topic]
            connection = known[0] if known else writer.add_connection(topic, kind, typestore=types)
            writer.write(connection, STAMPS_NS[0], types.serialize_cdr(image, kind))
    images = Listener(graph, IMAGE, Image)
    with process("ros_tools.bag_player", str(tmp_path / "bag"), "--wait=60", "--rate=0.2", "--restamp") as player:
        _, errors = player.communicate(timeout=60)
    assert "/camera/2/image: no name of a topic in ROS 2" in errors and player.returncode == 0, errors
    wait_until(lambda: [stamp_ns(message) for message in images.heard] == [0, 0], "both images")


@pytest.mark.parametrize("rate", ["0", "-1", "fast"])
def test_a_rate_that_is_no_speed_is_refused(domain, tmp_path, rate):
    with process("ros_tools.bag_player", str(tmp_path), "--rate", rate) as running:
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 2 and "--rate" in errors and "Traceback" not in errors


@pytest.mark.parametrize("forgotten", [["-p", "backend:=openvino"], ["--no-such"]])
def test_an_argument_that_nobody_reads_is_refused(domain, forgotten):
    """--ros-args is easily forgotten."""
    with process("node.node", *forgotten) as running:
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 2 and f"unrecognized arguments: {forgotten[0]}" in errors


def test_a_parameter_that_the_node_does_not_have_is_told(graph):
    node = graph.fastdepth(bakend="openvino")
    assert parameters.unknown(node) == ["bakend"] and parameters.unknown(graph.fastdepth()) == []


def test_a_bag_without_a_message_is_no_success(domain, tmp_path):
    with Writer(tmp_path / "bag", version=9) as writer:
        writer.add_connection(IMAGE, "sensor_msgs/msg/Image", typestore=get_typestore(Stores.ROS2_HUMBLE))
    with process("ros_tools.bag_player", str(tmp_path / "bag"), "--loop") as player:
        _, errors = player.communicate(timeout=60)
    assert player.returncode == 1 and "holds no message that can be played" in errors


def test_a_parameter_file_that_is_not_there_is_named(domain):
    with process("node.node", "--ros-args", "--params-file", "nofile.yaml") as running:
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 1 and "nofile.yaml" in errors and "Traceback" not in errors


def test_the_bag_player_names_a_bag_that_is_not_there(domain, tmp_path):
    with process("ros_tools.bag_player", str(tmp_path / "nothing")) as running:
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 1 and "no bag at" in errors


def test_the_demo_shows_depth_and_writes_its_picture_and_its_bag(domain, artifact_folder, room_bag, tmp_path):
    out = tmp_path / "demo"
    command = ["demo", "--bag", str(room_bag), "--seconds", "3", "--out", str(out), "--model", str(artifact_folder)]
    finished = _fastdepth(*command)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    import cv2

    assert cv2.imread(str(out / "demo.png")).shape[0] > 200
    with AnyReader([out / "demo_bag"]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts["/depth/image"] > 3 and counts["/depth/camera_info"] > 0 and counts["/diagnostics"] > 0


def test_the_demo_exits_1_and_says_why_when_no_depth_comes(domain, room_bag, tmp_path):
    command = ["demo", "--bag", str(room_bag), "--out", str(tmp_path / "demo"), "--model", "/no/such/model"]
    finished = _fastdepth(*command)
    assert finished.returncode == 1
    assert "no depth came" in finished.stderr and "/no/such/model" in finished.stderr


def _fastdepth(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fastdepth_ros", *arguments],
        capture_output=True, text=True, timeout=100, env=os.environ.copy(),
    )  # fmt: skip


def test_help_of_the_node_is_printed_and_ends(domain):
    command = [sys.executable, "-m", "fastdepth_ros.node.node", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "--ros-args" in done.stdout


@pytest.fixture
def video(tmp_path) -> Path:
    import cv2

    path = tmp_path / "room.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    for number in range(4):
        writer.write(np.full((120, 160, 3), 40 * number + 20, np.uint8))
    writer.release()
    return path


def test_the_camera_publishes_a_video_as_images_of_now(graph: Graph, video):
    images = Listener(graph, "/camera/image_raw", Image)
    before = graph.peer.get_clock().now().nanoseconds
    with process("ros_tools.camera", str(video), "--loop", "--frame-id", "eye") as running:
        wait_until(lambda: len(images.heard) > 5, "images of more than one round")
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 0 and "Traceback" not in errors
    first = images.heard[0]
    assert (first.encoding, first.height, first.width, first.header.frame_id) == ("bgr8", 120, 160, "eye")
    assert stamp_ns(first) > before and len(first.data) == 120 * 160 * 3


@pytest.mark.parametrize("module", ["ros_tools.camera", "ros_tools.bag_player"])
def test_a_program_that_launch_interrupts_again_and_again_ends_quietly(graph: Graph, room_bag, module):
    with process(module, str(room_bag), "--loop") as running:
        wait_until(lambda: graph.peer.count_publishers(IMAGE_TOPIC), "images")
        while running.poll() is None:
            running.send_signal(signal.SIGINT)
            time.sleep(0.001)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 0 and "Traceback" not in errors and "Exception" not in errors, errors


def test_the_camera_names_a_source_that_is_not_there(domain):
    with process("ros_tools.camera", "nothing.mp4") as running:
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 1 and "nothing.mp4" in errors and "Traceback" not in errors


def test_the_camera_that_can_read_no_frame_says_why(domain, tmp_path):
    types = get_typestore(Stores.ROS2_HUMBLE)
    _, kind, stamp, image = messages(types)[1]
    image.encoding = "yuv9"
    with Writer(tmp_path / "bag", version=9) as writer:
        connection = writer.add_connection(IMAGE, kind, typestore=types)
        writer.write(connection, stamp, types.serialize_cdr(image, kind))
    with process("ros_tools.camera", str(tmp_path / "bag"), "--loop") as running:
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 1 and "gives no frame: 1 of 1 frames could not be read" in errors and "yuv9" in errors


def test_the_demo_takes_a_video_as_its_camera(domain, artifact_folder, video, tmp_path):
    out = tmp_path / "demo"
    camera = ["--camera", str(video), "--hfov-deg", "60"]
    finished = _fastdepth("demo", *camera, "--seconds", "2", "--out", str(out), "--model", str(artifact_folder))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert (out / "demo.png").exists()
    with AnyReader([out / "demo_bag"]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts["/depth/image"] and counts["/depth/camera_info"]  # made of the field of view


def test_the_demo_names_a_camera_that_is_not_there(domain, artifact_folder, tmp_path):
    finished = _fastdepth("demo", "--camera", "none.mp4", "--out", str(tmp_path), "--model", str(artifact_folder))
    assert finished.returncode == 1 and "the camera ended" in finished.stderr and "none.mp4" in finished.stderr
