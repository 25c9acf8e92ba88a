"""The launch files, where launch is installed: they come up, the node gets active, Ctrl-C ends them cleanly."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch is not installed")
pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from help_words import help_complaint
from recorded import BAGS
from ros_graph import Graph, Listener, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.node.shared_memory import VARIABLES, shared_memory_variables
from fastdepth_ros.node.shutdown import EXIT_CODE
from fastdepth_ros.ros_tools import launch_processes

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
PATIENCE_S = 60.0  # Python and rclpy of several processes, on a machine that does something else too
WAIT = "sleep 1"  # until launch has started what comes after it
ENDLESS = "trap 'exit 0' INT; while :; do sleep 0.2; done"
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


def finished(file: str, *arguments: str, code: int = 0) -> str:
    """Output of a launch that ends by itself; it leaves no process behind."""
    running = launched(file, *arguments)
    output, _ = running.communicate(timeout=PATIENCE_S + 40)
    assert running.returncode == code, output
    assert not members(running.pid), output
    return output


def launched(file: str, *arguments: str) -> subprocess.Popen:
    """In a session of its own, by which a process is known that is left behind."""
    command = [sys.executable, "-c", RUN, str(LAUNCH / file), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def members(session: int) -> list[str]:
    found = subprocess.run(["pgrep", "-a", "-s", str(session)], stdout=subprocess.PIPE, text=True)
    return found.stdout.splitlines()


def stand_in(prefix: Path, package: str, executable: str, script: str = 'echo ARGUMENTS "$@"') -> None:
    """A program of a package that is not installed, or in place of one that is."""
    index = prefix / "share" / "ament_index" / "resource_index" / "packages" / package
    program = prefix / "lib" / package / executable
    for path in (index, program):
        path.parent.mkdir(parents=True, exist_ok=True)
    index.touch()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def installed(domain: int, tmp_path: Path, monkeypatch) -> Path:
    """A prefix with stand-ins for our programs, in front of what is installed."""
    for executable in ("fastdepth_node", "fastdepth_cameras", "bag_player", "bag_publisher"):
        stand_in(tmp_path, "fastdepth_ros", executable)
    (tmp_path / "share" / "fastdepth_ros").symlink_to(ROOT)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def test_the_node_comes_up_active_and_ctrl_c_ends_it_cleanly(graph: Graph, artifact_folder):
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("fastdepth.launch.py", "image:=/camera/image_raw", f"model:={artifact_folder}", "namespace:=one")
    try:
        wait_until(lambda: active(diagnostics) == {"one/fastdepth: depth"}, "an active node", PATIENCE_S)
        assert graph.peer.count_publishers("/one/depth/image") == 1
    finally:
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0
    assert "process has finished cleanly" in output


@pytest.mark.parametrize("asked", [True, False])
def test_launched_processes_get_room_in_shared_memory_where_asked_for(
    graph: Graph, artifact_folder, monkeypatch, asked
):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("fastdepth.launch.py", f"model:={artifact_folder}", f"shared_memory:={str(asked).lower()}")
    try:
        wait_until(lambda: diagnostics.heard, "the node", PATIENCE_S)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        environments = [Path(f"/proc/{child}/environ").read_text() for child in children]
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE_S)
    given = [f"{name}={file}" for name, file in shared_memory_variables().items()]
    assert environments and all((each in environment) == asked for each in given for environment in environments)


def test_a_bag_is_replayed_and_the_launch_ends_with_it(graph: Graph, artifact_folder, tmp_path):
    depths = Listener(graph, "/depth/image", Image)
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)  # later: a node that this one hears knows both
    begin, end = tmp_path / "begin", tmp_path / "end"
    gate = tmp_path / "gate.sh"  # volatile depth is heard by who is known in time, and sent until the launch ends
    gate.write_text(
        f'until [ -e {begin} ]; do sleep 0.1; done; "$@"; code=$?; until [ -e {end} ]; do sleep 0.1; done; exit $code'
    )
    running = launched(
        "replay.launch.py", f"bag:={BAGS['mcap'](tmp_path)}", f"model:={artifact_folder}",
        f"launch-prefix:=sh {shlex.quote(str(gate))}", "launch-prefix-filter:=bag_player",
    )  # fmt: skip
    try:
        wait_until(lambda: active(diagnostics) and graph.peer.count_publishers("/depth/image"), "a node", PATIENCE_S)
        begin.touch()
        wait_until(lambda: depths.heard, "depth", PATIENCE_S)
    finally:
        begin.touch()
        end.touch()
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, output
    assert "4 messages" in output or "8 messages" in output
    assert not members(running.pid)


def test_a_node_whose_process_ends_is_started_anew(graph: Graph, artifact_folder):
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("fastdepth.launch.py", f"model:={artifact_folder}", "respawn:=true")
    try:
        for _ in range(2):
            diagnostics.heard.clear()
            wait_until(lambda: active(diagnostics), "an active node", PATIENCE_S)
            (node,) = subprocess.check_output(["pgrep", "-P", str(running.pid)], text=True).split()
            os.kill(int(node), signal.SIGKILL)
            wait_until(lambda node=node: not Path("/proc", node).exists(), "its end", PATIENCE_S)
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("processes", ["one", "several"])
def test_two_cameras_come_up_in_one_process_or_in_two(graph: Graph, artifact_folder, tmp_path, processes):
    cameras = tmp_path / "cameras.yaml"
    model = {"model": str(artifact_folder)}
    listed = [{"name": name, "image": "image", "parameters": model} for name in ("left", "right")]
    cameras.write_text(yaml.safe_dump({"cameras": listed}))
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    running = launched("multi_camera.launch.py", f"cameras:={cameras}", f"processes:={processes}")
    try:
        wait_until(
            lambda: active(diagnostics) == {"left/fastdepth: depth", "right/fastdepth: depth"}, "both", PATIENCE_S
        )
    finally:
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0
    assert output.count("process has finished cleanly") == {"one": 1, "several": 2}[processes]


@pytest.mark.parametrize(
    ("file", "arguments", "reason"),
    [
        ("fastdepth", ["rviz:=true"], "rviz2 of the package rviz2 is not installed"),
        ("fastdepth", ["rviz:=1", "respawn:=false"], "rviz2 of the package rviz2 is not installed"),
        ("fastdepth", ["point_cloud:=xyz"], "apt install ros-$ROS_DISTRO-depth-image-proc"),
        ("fastdepth", ["point_cloud:=xyzrgb", "rviz:=true"], "rviz2 of the package rviz2 is not installed"),
        ("fastdepth", ["laser_scan:=true"], "depthimage_to_laserscan_node of the package depthimage_to_laserscan"),
        ("fastdepth", ["point_cloud:=xzy"], "Valid options are: ['none', 'node', 'xyz', 'xyzrgb']"),
        ("fastdepth", ["laser_scan:=yes"], "Valid options are: ['true',"),
        ("fastdepth", ["rviz:=ture"], "Valid options are: ['true',"),
        ("fastdepth", ["use_sim_time:=ture"], "Valid options are: ['', 'true',"),
        ("fastdepth", ["shared_memory:=on"], "Valid options are: ['true',"),
        ("fastdepth", ["params_file:=/none.yaml"], "params_file:=/none.yaml: there is no such file"),
        ("fastdepth", ["params_file:=UNREADABLE"], "cannot be read as a parameter file"),
        ("fastdepth", ["namespace:=1st", "image:=a b", "backend:=none", "log_level:=loud"], "log_level:=loud: it can"),
        ("downstream", ["point_cloud:=xyz", "laser_scan:=true"], "package depthimage_to_laserscan is not installed"),
        ("downstream", ["point_cloud:=node"], "set the parameter points of the node"),
        ("multi_camera", ["cameras:=UNREADABLE"], "cannot be read as a list of cameras"),
        ("multi_camera", ["cameras:=EMPTY"], "has no list `cameras:` with at least one camera"),
        ("multi_camera", ["params_file:=/none.yaml", "respawn:=0"], "params_file:=/none.yaml: there is no such file"),
        ("multi_camera", ["use_sim_time:=ture"], "Valid options are: ['', 'true',"),
        ("replay", ["bag:=/none"], "bag:=/none: there is no such file or folder"),
        ("replay", ["bag:=/tmp", "rate:=-1"], "rate:=-1: it must be a number above 0"),
        ("replay", ["bag:=/tmp", "point_cloud:=xyz"], "point_cloud_xyz_node of the package depth_image_proc"),
        ("replay", ["bag:=/tmp", "laser_scan:=ture"], "Valid options are: ['true',"),
    ],
)
def test_what_cannot_be_launched_ends_with_its_reason_before_any_process(domain, tmp_path, file, arguments, reason):
    (tmp_path / "unreadable.yaml").write_text("a: [b")
    (tmp_path / "empty.yaml").write_text("cameras: []")
    given = [each.replace(name, f"{tmp_path / name.lower()}.yaml") for each in arguments
             for name in ("UNREADABLE", "EMPTY") if name in each] or arguments  # fmt: skip
    output = finished(f"{file}.launch.py", *given, code=1)
    assert "process started" not in output
    assert reason in output.splitlines()[-1]


def test_a_missing_program_leaves_none_of_the_others_running(installed):
    stand_in(installed, "depth_image_proc", "point_cloud_xyz_node", ENDLESS)
    stand_in(installed, "fastdepth_ros", "fastdepth_node", ENDLESS)
    for missing in ("laser_scan:=true", "rviz:=true"):
        assert "process started" not in finished("fastdepth.launch.py", "point_cloud:=xyz", missing, code=1)


def test_a_node_that_ends_at_once_again_and_again_is_given_up_with_reason(installed):
    stand_in(installed, "fastdepth_ros", "fastdepth_node", "echo no such lens >&2; exit 1")
    stand_in(installed, "rviz2", "rviz2", ENDLESS)
    output = finished("fastdepth.launch.py", "rviz:=true", code=1)
    assert output.count("[fastdepth_node-2]: process started") == launch_processes.STARTS
    assert output.splitlines()[-1].endswith("at last with exit code 1; it is not started again. It said: no such lens")


def test_of_several_processes_one_is_given_up_and_the_others_go_on(installed):
    cameras = installed / "cameras.yaml"
    cameras.write_text(yaml.safe_dump({"cameras": [{"name": name, "image": "image"} for name in ("left", "right")]}))
    stand_in(installed, "fastdepth_ros", "fastdepth_cameras", 'case "$*" in *left*) exit 1;; esac; ' + ENDLESS)
    running = launched("multi_camera.launch.py", f"cameras:={cameras}", "processes:=several")
    lines = []
    for line in running.stdout:
        lines.append(line)
        if "it is not started again" in line:
            break
    time.sleep(launch_processes.RESPAWN_DELAY_S + 1)
    left = members(running.pid)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, output
    assert "process started" not in output and any("--only right" in one for one in left)
    assert sum("process started" in line for line in lines) == launch_processes.STARTS + 1


def test_a_long_life_or_a_hung_backend_begins_the_count_anew(monkeypatch):
    life = launch_processes.Life()
    for code, lived_s, given_up in [*[(1, 0, False)] * 3, (EXIT_CODE, 0, False), *[(1, 0, False)] * 3, (1, 60, False),
                                    *[(-11, 0, False)] * 3, (1, 0, True)]:  # fmt: skip
        life.begin()
        now = time.monotonic() + lived_s
        monkeypatch.setattr(launch_processes.time, "monotonic", lambda now=now: now)
        assert life.end(code) == given_up
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("in_file", "arguments", "of_node", "beside"),
    [
        ("true", [], "true", "true"),
        ("false", [], "false", "false"),
        ("true", ["use_sim_time:=False"], "false", "false"),
        ("false", ["use_sim_time:=1"], "true", "true"),
    ],
)
def test_sim_time_of_the_parameter_file_holds_unless_the_argument_is_given(
    installed, in_file, arguments, of_node, beside
):
    file = installed / "robot.yaml"
    file.write_text(f"/robot/fastdepth: {{ros__parameters: {{use_sim_time: {in_file}}}}}")
    shows = f'while [ $# -gt 0 ]; do [ "$1" = --params-file ] && cat "$2" >&2; shift; done; {WAIT}'
    for package, executable in [("rviz2", "rviz2"), ("depth_image_proc", "point_cloud_xyz_node"),
                                ("fastdepth_ros", "fastdepth_node")]:  # fmt: skip
        stand_in(installed, package, executable, shows)
    output = finished(
        "fastdepth.launch.py", "namespace:=robot", "rviz:=true", "point_cloud:=xyz", "respawn:=false",
        f"params_file:={file}", *arguments,
    )  # fmt: skip
    told: dict[str, list[str]] = {}
    for program, value in re.findall(r"^\[(\w+)-\d\].*use_sim_time: (\w+)", output, re.M):
        told.setdefault(program, []).append(value)
    assert told["fastdepth_node"][-1] == of_node and len(told["fastdepth_node"]) == 1 + len(arguments)
    assert told["rviz2"] == told["point_cloud_xyz_node"] == [beside]


@pytest.mark.parametrize(
    ("argument", "of_node", "beside"),
    [("none", ["true"], 0), ("node", ["true", "true"], 0), ("xyz", ["true", "false"], 1)],
)
def test_the_point_cloud_has_one_publisher_whatever_the_file_says(installed, argument, of_node, beside):
    file = installed / "robot.yaml"
    file.write_text("/**: {ros__parameters: {points: true}}")
    shows = f'while [ $# -gt 0 ]; do [ "$1" = --params-file ] && cat "$2" >&2; shift; done; {WAIT}'
    stand_in(installed, "fastdepth_ros", "fastdepth_node", shows)
    stand_in(installed, "depth_image_proc", "point_cloud_xyz_node", WAIT)
    output = finished("fastdepth.launch.py", f"point_cloud:={argument}", "respawn:=false", f"params_file:={file}")
    assert re.findall(r"^\[fastdepth_node-\d\].*points: (\w+)", output, re.M) == of_node
    assert output.count("[point_cloud_xyz_node-1]: process started") == beside


@pytest.mark.parametrize(("sim_time", "of_player"), [("true", "--clock"), ("false", "--restamp")])
def test_a_replay_runs_on_the_bags_time_or_on_the_clocks(installed, sim_time, of_player):
    stand_in(installed, "fastdepth_ros", "fastdepth_node", f"cat $7 $9; {WAIT}")
    stand_in(installed, "fastdepth_ros", "bag_player", f'echo PLAYED "$@"; {WAIT}')
    output = finished("replay.launch.py", "bag:=/tmp", "respawn:=false", f"use_sim_time:={sim_time}")
    assert f"PLAYED /tmp {of_player} --wait 30" in output


@pytest.mark.parametrize("program", ["bag_player", "fastdepth_node"])
def test_a_replay_that_fails_ends_with_1_and_the_reason_last(installed, program):
    stand_in(installed, "fastdepth_ros", "fastdepth_node", ENDLESS)
    stand_in(installed, "fastdepth_ros", "bag_player", ENDLESS)
    stand_in(installed, "fastdepth_ros", program, "exit 4")
    told = finished("replay.launch.py", "bag:=/tmp", code=1).splitlines()[-1]
    assert program in told and "exit code 4" in told


@pytest.mark.parametrize("file", sorted(path.name for path in LAUNCH.glob("*.launch.py")))
def test_every_argument_is_described(installed, file):
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    arguments = get_launch_description_from_python_launch_file(str(LAUNCH / file)).get_launch_arguments()
    assert arguments
    assert not {one.name: told for one in arguments if (told := help_complaint(one.description))}


def active(diagnostics: Listener) -> set[str]:
    """Names of the nodes that say that they are active."""
    statuses = [status for array in diagnostics.heard for status in array.status]
    return {status.name for status in statuses if any(entry.value == "active" for entry in status.values)}
