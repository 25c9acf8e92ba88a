"""Processes of the package send nothing beyond the robot's own network, and write nothing to the home folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("onnxruntime", "openvino", "pytorch", "tvm")
ALLOWED = [
    ip_network(network) for network in ("127.0.0.0/8", "::1/128", "239.255.0.0/16")
]  # the last: discovery of DDS
ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:sin_addr=inet_addr\(|inet_pton\(AF_INET6, )"([0-9a-f.:]+)"')
SPOKEN = re.compile(r"^(?:\d+ +|\[pid +\d+\] )?(connect|sendto|sendmsg|sendmmsg)\(")
VARIABLES = ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "ROS_LOG_DIR", "CI")
pytestmark = pytest.mark.slow


def own_addresses() -> set[str]:
    words = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    return {word.partition("%")[0] for word in words}


def strangers(trace: str) -> list[str]:
    """Lines of a trace in which a process speaks to somebody who is neither this machine nor DDS's group."""
    own, found = own_addresses(), []
    for line in trace.splitlines():
        if not SPOKEN.match(line):
            continue
        for port, text in ADDRESS.findall(line):
            address = ip_address(text)
            if port == "53" or not (any(address in network for network in ALLOWED) or text in own):
                found.append(line)
    return found


@pytest.fixture
def model(request, backend) -> Path:
    if backend == "openvino":
        pytest.importorskip("openvino", reason="openvino is not installed")
    return request.getfixturevalue("compiled_folder" if backend == "tvm" else "artifact_folder")


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """As of a user who has set nothing, with an empty home folder."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES and not name.startswith("XDG_")}
    return {**kept, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}


def traced(trace: Path, *command: object) -> list[str]:
    return ["strace", "-f", "-e", "trace=network", "-s", "0", "-o", str(trace), sys.executable, *map(str, command)]


def left(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


def test_a_stranger_is_found_in_a_trace():
    trace = """7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0
7 sendto(4, ""..., 56, 0, {sa_family=AF_INET, sin_port=htons(7400), sin_addr=inet_addr("239.255.0.1")}, 16) = 56
7 sendmsg(4, {msg_name={sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("203.0.113.9")}}, 0) = 56
7 recvmsg(4, {msg_name={sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("203.0.113.9")}}, 0) = 56
7 connect(4, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28) = 0
7 connect(4, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0"""
    assert [line.split("(")[0] for line in strangers(trace)] == ["7 connect", "7 sendmsg", "7 connect"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_image_speaks_to_nobody(backend, model, environment, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    verb = ["-m", "fastdepth_ros", "image", tmp_path / "a.png", "--out", tmp_path / "out", "--model", model]
    trace = tmp_path / "trace"
    subprocess.run(traced(trace, *verb, "--backend", backend), env=environment, check=True)
    assert (tmp_path / "out" / "a.npy").exists() and strangers(trace.read_text()) == []
    assert left(tmp_path / "home") == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_node_speaks_to_this_machine_alone(backend, model, environment, tmp_path, monkeypatch):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    domain = {"ROS_DOMAIN_ID": str(os.getpid() % 100 + 101), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    for name, value in domain.items():
        monkeypatch.setenv(name, value)
    sys.path.insert(0, str(ROOT / "test" / "node"))
    from ros_graph import CameraDriver, Graph, Listener, picture, wait_until
    from sensor_msgs.msg import Image

    trace, arguments = tmp_path / "trace", ["-p", f"model:={model}", "-p", f"backend:={backend}"]
    node = ["-m", "fastdepth_ros.node.node", "--ros-args", *arguments, "-p", "focal_scale:=off"]
    log = {"ROS_LOG_DIR": str(tmp_path / "log")}
    graph = Graph(int(domain["ROS_DOMAIN_ID"]))
    process = subprocess.Popen(traced(trace, *node), env={**environment, **domain, **log}, start_new_session=True)
    try:
        depths, camera = Listener(graph, "/depth/image", Image), CameraDriver(graph)
        wait_until(lambda: camera.send(1, picture()) or time.sleep(0.1) or depths.heard, "depth", timeout_s=600)
        time.sleep(2)  # what an engine would send after its start
        os.killpg(process.pid, signal.SIGINT)
        process.wait(300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        graph.close()
    text = trace.read_text()
    assert "239.255." in text or "127.0.0.1" in text  # it saw the node speak at all
    assert strangers(text) == []
    assert left(tmp_path / "home") == []
