"""The launch files, where launch is installed: they come up, the node gets active, Ctrl-C ends them cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch is not installed")
pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from recorded import BAGS
from ros_graph import Graph, Listener, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.ros.shared_memory import PROFILE, VARIABLES
from fastdepth_ros.share import share_folder

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [tuple(argument.split(":=", 1)) for argument in sys.argv[2:]]
included = IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)
service = LaunchService()
service.include_launch_description(LaunchDescription([included]))
raise SystemExit(service.run())
"""


def finished(file: str, *arguments: str) -> str:
    """What a launch says that ends by itself."""
    running = launched(file, *arguments)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    return output


def launched(file: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", RUN, str(LAUNCH / file), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_node_comes_up_active_and_ctrl_c_ends_it_cleanly(graph: Graph, artifact_folder):
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("fastdepth.launch.py", "image:=/camera/image_raw", f"model:={artifact_folder}", "namespace:=one")
    try:
        wait_until(lambda: active(diagnostics) == {"one/fastdepth: depth"}, "an active node")
        assert graph.peer.count_publishers("/one/depth/image") == 1
    finally:
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "process has finished cleanly" in output


@pytest.mark.parametrize("asked", [True, False])
def test_room_in_shared_memory_is_given_to_what_is_launched_where_it_is_asked_for(
    graph: Graph, artifact_folder, monkeypatch, asked
):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("fastdepth.launch.py", f"model:={artifact_folder}", f"shared_memory:={str(asked).lower()}")
    try:
        wait_until(lambda: diagnostics.heard, "the node")
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        environments = [Path(f"/proc/{child}/environ").read_text() for child in children]
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    given = [f"{name}={share_folder() / PROFILE}" for name in VARIABLES]
    assert environments and all((each in environment) == asked for each in given for environment in environments)


def test_a_bag_is_replayed_and_the_launch_ends_with_it(graph: Graph, artifact_folder, tmp_path):
    depths = Listener(graph, "/depth/image", Image)
    running = launched("replay.launch.py", f"bag:={BAGS['mcap'](tmp_path)}", f"model:={artifact_folder}")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert depths.heard


def test_a_node_whose_process_ends_is_started_anew(graph: Graph, artifact_folder):
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("fastdepth.launch.py", f"model:={artifact_folder}", "respawn:=true")
    try:
        for _ in range(2):
            diagnostics.heard.clear()
            wait_until(
                lambda: any(v.value == "active" for a in diagnostics.heard for v in a.status[0].values), "active"
            )
            (node,) = subprocess.check_output(["pgrep", "-P", str(running.pid)], text=True).split()
            os.kill(int(node), signal.SIGKILL)
            wait_until(lambda node=node: not Path("/proc", node).exists(), "its end")
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)


@pytest.mark.parametrize("processes", ["one", "several"])
def test_two_cameras_come_up_in_one_process_or_in_two(graph: Graph, artifact_folder, tmp_path, processes):
    cameras = tmp_path / "cameras.yaml"
    model = {"model": str(artifact_folder)}
    listed = [{"name": name, "image": "image", "parameters": model} for name in ("left", "right")]
    cameras.write_text(yaml.safe_dump({"cameras": listed}))
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("multi_camera.launch.py", f"cameras:={cameras}", f"processes:={processes}")
    try:
        wait_until(lambda: active(diagnostics) == {"left/fastdepth: depth", "right/fastdepth: depth"}, "both nodes")
    finally:
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert output.count("process has finished cleanly") == {"one": 1, "several": 2}[processes]


def test_a_list_of_cameras_that_cannot_be_used_ends_the_launch_with_its_reason(domain, tmp_path):
    (tmp_path / "cameras.yaml").write_text("cameras: []")
    running = launched("multi_camera.launch.py", f"cameras:={tmp_path / 'cameras.yaml'}")
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "has no list `cameras:` with at least one camera" in output


def active(diagnostics: Listener) -> set[str]:
    """Names of the nodes that say that they are active."""
    statuses = [status for array in diagnostics.heard for status in array.status]
    return {status.name for status in statuses if any(entry.value == "active" for entry in status.values)}
