"""Large images: with room in shared memory a best-effort subscriber loses none, and who takes that room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from collections import namedtuple
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import Listener, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.node import shared_memory
from fastdepth_ros.node.shared_memory import (
    PROFILE,
    SEGMENT_BYTES,
    VARIABLES,
    remove_dead_segments,
    shared_memory_variables,
)
from fastdepth_ros.node.shutdown import own_segments
from fastdepth_ros.share import share_folder

FRAMES = 60
CAMERA = """
import sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from fastdepth_ros.node.shared_memory import use_shared_memory
use_shared_memory()
rclpy.init()
camera = rclpy.create_node("camera")
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = camera.create_publisher(Image, "image", qos)
while not publisher.get_subscription_count():
    time.sleep(0.05)
time.sleep(0.5)
image = Image(height=480, width=640, encoding="bgr8", step=1920, data=bytes(640 * 480 * 3))
for number in range(int(sys.argv[1])):
    image.header.stamp.sec = number
    publisher.publish(image)
    time.sleep(1 / 30)
"""


def test_a_best_effort_camera_of_640x480_loses_no_frame(graph):
    stamps: list[int] = []
    qos = QoSProfile(depth=FRAMES, reliability=ReliabilityPolicy.BEST_EFFORT)
    graph.peer.create_subscription(Image, "image", lambda message: stamps.append(message.header.stamp.sec), qos)
    subprocess.run([sys.executable, "-c", CAMERA, str(FRAMES)], check=True, timeout=60)
    wait_until(lambda: len(stamps) == FRAMES, "all frames")
    assert stamps == list(range(FRAMES))


@pytest.mark.parametrize("option", [[], ["--no-shared-memory"]])
def test_a_node_has_room_for_large_images_unless_told_otherwise(graph, domain, artifact_folder, option, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if not shared_memory_variables():
        pytest.skip("Fast DDS uses no shared memory here")
    heard = Listener(graph, "/diagnostics", DiagnosticArray)
    command = [
        sys.executable,
        "-m",
        "fastdepth_ros.node.node",
        *option,
        "--ros-args",
        "-p",
        f"model:={artifact_folder}",
    ]
    with subprocess.Popen(command) as node:
        wait_until(lambda: heard.heard, "diagnostics of the node")
        sizes = [path.stat().st_size for path in own_segments(node.pid)]
        node.send_signal(signal.SIGINT)
    if not sizes:
        pytest.skip("Fast DDS uses no shared memory here")
    assert (max(sizes) >= SEGMENT_BYTES) == (not option)


def test_the_benchmark_camera_tells_what_it_sent_and_what_came_of_it(domain, artifact_folder):
    node = subprocess.Popen(
        [sys.executable, "-m", "fastdepth_ros.node.node", "--ros-args", "-p", f"model:={artifact_folder}"]
    )
    camera = [
        sys.executable,
        "-m",
        "fastdepth_ros.ros_tools.benchmark_camera",
        "--node",
        str(node.pid),
        "--size",
        "320x240",
    ]
    try:
        printed = subprocess.run(
            [*camera, "--warm-up", "1", "--seconds", "2"], check=True, capture_output=True, text=True, timeout=60
        ).stdout
    finally:
        node.kill()
        node.wait()
    found = json.loads(printed)
    counts = found["counts"]
    assert found["sent"] == 60 >= counts["received"] >= counts["published"] + counts["replaced"] - 1
    assert 0 < found["heard"] <= 60
    assert 0 < float(found["diagnostics"]["overhead p50 [ms]"]) < float(found["diagnostics"]["total p50 [ms]"])
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert 0 < found["node_cpu"] < os.cpu_count()


def test_a_profile_of_the_users_own_stays(tmp_path):
    for name in VARIABLES:
        assert shared_memory_variables({name: "mine.xml"}, tmp_path) == {}


def test_the_profile_has_the_one_name_that_the_distribution_reads(tmp_path):
    ((name, file),) = shared_memory_variables({}, tmp_path).items()
    assert file == str(share_folder() / PROFILE) and Path(file).is_file()
    library = b"".join(path.read_bytes() for path in Path(rclpy.__file__).parents[3].glob("libfast*s.so"))
    if library:  # of the wheels
        assert name.encode() in library
    humble, jazzy, kilted = 3, 7, 9  # majors of rclpy
    assert shared_memory.variable_read(humble) == shared_memory.variable_read(jazzy) == "FASTRTPS_DEFAULT_PROFILES_FILE"
    assert shared_memory.variable_read(kilted) == "FASTDDS_DEFAULT_PROFILES_FILE"


def test_fast_dds_has_no_complaint_of_the_name(domain):
    started = "from fastdepth_ros.node.shared_memory import use_shared_memory as use; use()\nimport rclpy; rclpy.init()"
    made = subprocess.run(
        [sys.executable, "-c", f"{started}\nrclpy.create_node('camera')"], capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0 and "deprecated" not in (made.stdout + made.stderr).lower()


def test_segments_of_a_killed_process_are_removed_of_a_living_one_stay(domain):
    code = "import rclpy, time; rclpy.init(); node = rclpy.create_node('a'); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        files = own_segments(process.pid)
        for path in files:
            os.utime(path, (0, 0))
        try:
            assert not {path.name for path in files} & set(remove_dead_segments())
            assert all(path.exists() for path in files)
        finally:
            process.kill()
    if not files:
        pytest.skip("Fast DDS uses no shared memory here")
    assert {path.name for path in files} & set(remove_dead_segments())
    assert not any(path.exists() for path in files)


def test_files_that_may_belong_to_a_process_are_left_alone(tmp_path):
    young, other = tmp_path / f"fastdds_{'0' * 16}_el", tmp_path / "fastdds_port7411_el"
    for path in (young, other):
        path.touch()
    os.utime(other, (0, 0))
    assert remove_dead_segments(tmp_path) == []
    assert young.exists() and other.exists()


def test_a_small_shared_memory_is_left_alone(tmp_path, monkeypatch):
    state = namedtuple("state", "f_bavail f_frsize")(64 << 8, 4096)  # Docker's 64 MB
    monkeypatch.setattr(os, "statvfs", lambda path: state)
    assert shared_memory.shared_memory_variables({}, tmp_path) == {}
    assert shared_memory.shared_memory_variables({}, tmp_path / "none") == {}
