"""The node's states: through all of them, again and again, and nothing is left behind."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import CameraDriver, Listener, picture, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.pipeline import Pipeline

STATES = {
    "unconfigured": [],
    "inactive": ["configure"],
    "active": ["configure", "activate"],
    "finalized": ["shutdown"],
}
ALLOWED = {
    "unconfigured": {"configure", "shutdown"},
    "inactive": {"activate", "cleanup", "shutdown"},
    "active": {"deactivate", "shutdown"},
    "finalized": set(),
}
TRANSITIONS = ("configure", "activate", "deactivate", "cleanup", "shutdown")


def go(graph, node, *transitions: str) -> None:
    for name in transitions:
        assert graph.do(getattr(node, f"trigger_{name}")) == TransitionCallbackReturn.SUCCESS, name


def test_frames_become_depth_while_it_is_active_and_only_then(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    for number in range(3):
        go(graph, node, "configure", "activate")
        camera.wait()
        wait_until(lambda: node.count_subscribers("/depth/image"), "discovery")
        time.sleep(0.2)
        camera.send(number, picture())
        wait_until(lambda number=number: depths.stamps()[-1:] == [number], "depth")
        go(graph, node, "deactivate")
        camera.send(99, picture())
        time.sleep(0.1)
        go(graph, node, "cleanup")
    assert depths.stamps() == [0, 1, 2]


@pytest.mark.parametrize("state", STATES)
def test_from_each_state_allowed_transitions_go_and_others_change_nothing(graph, artifact_folder, state):
    node = None
    for name in sorted(TRANSITIONS, key=lambda name: name in ALLOWED[state]):
        if node is None:
            node = graph.fastdepth(model=artifact_folder)
            go(graph, node, *STATES[state])
        if name in ALLOWED[state]:
            go(graph, node, name)
            graph.do(lambda node=node: graph.remove(node))
            node = None
        else:
            with suppress(RCLError):  # as rclpy answers a second shutdown
                assert graph.do(getattr(node, f"trigger_{name}")) != TransitionCallbackReturn.SUCCESS
            assert node._label == node._state_machine.current_state[1] == state


def test_an_unforeseen_error_of_a_transition_is_told_and_can_be_mended(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder, remap={"image": "/camera/image"})
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    node.trigger_configure()
    pipeline, node._pipeline = node._pipeline, None  # what no state should ever be
    assert node.trigger_activate() == TransitionCallbackReturn.ERROR
    pipeline.close()
    wait_until(
        lambda: "AssertionError" in (diagnostics.heard[-1].status[0].message if diagnostics.heard else ""),
        "a diagnostic",
    )
    assert diagnostics.heard[-1].status[0].level == DiagnosticStatus.ERROR
    node.autostart()
    wait_until(lambda: "no frame on" in diagnostics.heard[-1].status[0].message, "the node to be active")


@pytest.mark.parametrize(("way_on", "finding"), [("cleanup", "unconfigured"), ("shutdown", "finalized")])
def test_what_went_wrong_is_told_until_a_transition_leaves_it_behind(
    graph, artifact_folder, monkeypatch, way_on, finding
):
    def broken(self: Pipeline) -> None:
        raise FastDepthError("off by 1 m")

    node = graph.fastdepth(model=artifact_folder)
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)

    def found() -> str:
        wait_until(lambda: diagnostics.heard, "diagnostics")
        return next(entry.value for entry in diagnostics.heard[-1].status[0].values if entry.key == "findings")

    monkeypatch.setattr(Pipeline, "make_ready", broken)
    go(graph, node, "configure")
    assert graph.do(node.trigger_activate) == TransitionCallbackReturn.FAILURE
    wait_until(lambda: found() == "cannot_run", "the diagnostic")
    go(graph, node, way_on)
    wait_until(lambda: found() == finding, "the next")


@pytest.mark.parametrize("state", ["inactive", "active"])
def test_an_error_on_the_way_out_leaves_nothing_behind(graph, artifact_folder, monkeypatch, state):
    node = graph.fastdepth(model=artifact_folder)
    go(graph, node, *STATES[state])

    def broken(self):
        raise RuntimeError("of the middleware")

    target = "fastdepth_ros.node.node.FastDepthNode._close_camera"
    with monkeypatch.context() as patch:
        patch.setattr(target, broken)
        name = {"inactive": "cleanup", "active": "deactivate"}[state]
        assert graph.do(getattr(node, f"trigger_{name}")) == TransitionCallbackReturn.ERROR
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    wait_until(lambda: diagnostics.heard, "diagnostics")
    assert diagnostics.heard[-1].status[0].level == DiagnosticStatus.ERROR
    assert "of the middleware" in diagnostics.heard[-1].status[0].message
    assert node.count_publishers("/depth/image") == 0


def cycles(graph, artifact_folder, number: int) -> list[float]:
    """Resident memory in MB after each cycle through all states, with a frame through each."""
    node = graph.fastdepth(model=artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    topics, threads, resident_mb = [], [], []
    for count in range(number):
        go(graph, node, "configure", "activate")
        camera.wait()
        wait_until(lambda: node.count_subscribers("/depth/image"), "discovery")

        def sent(count=count):
            camera.send(count, picture())
            time.sleep(0.05)
            return depths.stamps()[-1:] == [count]

        wait_until(sent, "depth")
        go(graph, node, "deactivate", "cleanup")
        depths.heard.clear()
        gc.collect()
        wait_until(lambda: not graph.peer.count_publishers("/depth/image"), "the publishers to go")
        topics.append(len(node.get_publisher_names_and_types_by_node("fastdepth", "/")))
        topics.append(len(node.get_subscriber_names_and_types_by_node("fastdepth", "/")))
        threads.append(sum(thread.name.startswith("fastdepth") for thread in threading.enumerate()))
        resident_mb.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6)
    assert len(set(topics[::2])) == 1 and len(set(topics[1::2])) == 1
    assert set(threads) == {0}
    return resident_mb


def test_cycles_through_all_states_leave_no_thread_and_no_topic(graph, artifact_folder):
    cycles(graph, artifact_folder, 5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_cycles_leave_no_memory_either(graph, artifact_folder):
    resident_mb = cycles(graph, artifact_folder, 100)
    growth_mb = resident_mb[-1] - resident_mb[40]
    print(f"resident memory after 40 cycles {resident_mb[40]:.1f} MB, after 100 {resident_mb[-1]:.1f} MB")
    assert growth_mb < 3  # of sixty cycles, each with an engine of its own
