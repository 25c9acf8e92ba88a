"""The end of the process: no destructor that DDS could meet, and no endpoint that others would wait for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.executors import ExternalShutdownException
from ros_graph import CameraDriver, picture, wait_until
from sensor_msgs.msg import Image
from stop_suite import stops

from fastdepth_ros.node import shutdown as ending
from fastdepth_ros.node.shutdown import own_segments, withdraw

WITHDRAWN_S = 15.0  # below the 20 s after which discovery drops whoever is silent
STOPS, MANY_STOPS = 4, int(os.environ.get("FASTDEPTH_STOPS", "50"))


def test_at_the_end_publishers_and_services_go_and_subscriptions_stay(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder, reliability="reliable", lazy=False)
    graph.do(node.autostart)
    listening = {subscription.topic_name for subscription in node.subscriptions}
    assert {"/image", "/camera_info"} <= listening

    def end() -> None:
        node.stop_work()
        withdraw(node)

    graph.do(end)
    assert {subscription.topic_name for subscription in node.subscriptions} == listening
    assert not list(node.publishers) and not list(node.services)


def test_the_node_ends_without_a_signal_while_subscribers_come_and_go(graph, artifact_folder):
    camera = CameraDriver(graph)
    command = [sys.executable, "-m", "fastdepth_ros.node.node", "--ros-args", "-p", f"model:={artifact_folder}"]
    segments = []
    for stop in range(STOPS):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: graph.peer.count_publishers("/depth/image"), "the node", timeout_s=60)
            for number in range(10):
                subscription = graph.do(
                    lambda: graph.peer.create_subscription(Image, "/depth/image", lambda _: None, 1)
                )
                camera.send(number, picture())
                graph.do(lambda gone=subscription: graph.peer.destroy_subscription(gone))
            segments += own_segments(process.pid)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0 and "Traceback" not in errors, (stop, errors)
        wait_until(
            lambda: not graph.peer.count_publishers("/depth/image"), "the node to withdraw", timeout_s=15
        )  # the lease is 20 s
    assert [path for path in segments if path.exists()] == []  # half a megabyte each


GUARDED = """
import sys
from rclpy.signals import SignalHandlerGuardCondition
destroy = SignalHandlerGuardCondition.destroy

def destroyed(self):
    print("destroyed", flush=True)
    destroy(self)

SignalHandlerGuardCondition.destroy = destroyed
from fastdepth_ros.node import multi_camera, node
sys.exit({"node": node, "multi_camera": multi_camera}[sys.argv[1]].main(sys.argv[2:]))
"""


@pytest.mark.parametrize("program", ["node", "multi_camera"])
def test_what_a_signal_triggers_is_never_freed(graph, artifact_folder, tmp_path, program):
    # A thread of rclpy triggers it meanwhile: SIGSEGV in rcl_trigger_guard_condition, now and then.
    listed = f"cameras: [{{name: front, image: image, parameters: {{model: '{artifact_folder}'}}}}]"
    (tmp_path / "cameras.yaml").write_text(listed)
    given = {
        "node": ["--ros-args", "-p", f"model:={artifact_folder}"],
        "multi_camera": [str(tmp_path / "cameras.yaml")],
    }[program]
    topic = {"node": "/depth/image", "multi_camera": "/front/depth/image"}[program]
    process = subprocess.Popen([sys.executable, "-c", GUARDED, program, *given], stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: graph.peer.count_publishers(topic), "the node", timeout_s=60)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0 and "destroyed" not in printed


INTERRUPTED = """
import os, signal, sys, types
from fastdepth_ros import node
sys.meta_path.insert(0, types.SimpleNamespace(
    find_spec=lambda name, *_: os.kill(os.getpid(), signal.SIGINT) if name == sys.argv[1] else None
))
sys.exit(node.fastdepth_node())
"""


@pytest.mark.parametrize("module", ["fastdepth_ros.node.node", "cv2", "rclpy"])
def test_an_interrupt_while_the_node_is_imported_ends_it_quietly(module):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


LACKING = """
import sys
sys.modules["rosbags"] = None
from fastdepth_ros import ros_tools
sys.exit(getattr(ros_tools, sys.argv[1])())
"""


@pytest.mark.parametrize("entry", ["fastdepth_camera", "play_bag"])
def test_a_library_that_a_program_lacks_is_named_in_one_line(entry):
    done = subprocess.run([sys.executable, "-c", LACKING, entry], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "needs the Python module rosbags" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_process_knows_its_own_segments_of_shared_memory_and_no_other(graph):
    own = own_segments(os.getpid())
    if not own:
        pytest.skip("Fast DDS uses no shared memory here")
    assert all(path.exists() and path.stat().st_uid == os.getuid() for path in own)
    assert not set(own) & set(own_segments(os.getppid()))


def interrupted(error: Exception) -> Exception:
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "ok", "ends"),
    [
        (RuntimeError("of pybind11"), [True, True, False], True),  # the signal came first
        (RuntimeError("a fault"), [True], False),
        (LookupError("a fault"), [False], False),
        (ExternalShutdownException(), [True], True),  # SIGTERM
        (interrupted(TypeError("of pybind11")), [True], True),
    ],
)
def test_an_error_that_a_signal_made_is_told_from_a_fault(monkeypatch, error, ok, ends):
    monkeypatch.setattr(ending, "SIGNAL_S", 0.2)
    monkeypatch.setattr(ending.rclpy, "ok", lambda: ok.pop(0) if len(ok) > 1 else ok[0])
    assert ending.is_of_the_end(error) is ends


def test_an_interrupt_that_comes_late_changes_no_exit_code(monkeypatch):
    """rclpy's thread has ended the context, and the work with it; Python's handler runs some time after."""
    before, late, set_handler = signal.getsignal(signal.SIGINT), [KeyboardInterrupt], signal.signal

    def interrupted_once(*given: Any) -> None:
        if late:
            raise late.pop()
        set_handler(*given)

    monkeypatch.setattr(signal, "signal", interrupted_once)
    try:
        ending.ignore_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        set_handler(signal.SIGINT, before)


def test_an_interrupt_in_a_conversion_is_an_interrupt_of_spin_some():
    class Interrupted:
        def spin_once(self, timeout_sec: float) -> None:
            raise interrupted(TypeError("of pybind11"))

    with pytest.raises(KeyboardInterrupt):
        ending.spin_some(Interrupted(), 0.1)


@pytest.mark.slow
def test_many_stops_beside_guests_end_without_a_signal(domain, artifact_folder, tmp_path):
    ended = list(stops(artifact_folder, MANY_STOPS, tmp_path))
    assert [stop for stop in ended if not stop.is_clean] == []
    assert sum(stop.gave_depth for stop in ended) > MANY_STOPS / 2
