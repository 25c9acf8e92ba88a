"""The node's states: through all of them, again and again, and nothing is left behind."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import GetState
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import CameraDriver, Diagnostics, Listener, picture, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.node.engine import load_engine
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


def test_frames_become_depth_while_it_is_active_and_only_then(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    for number in range(3):
        graph.go(node, "configure", "activate")
        camera.wait()
        wait_until(lambda: node.count_subscribers("/depth/image"), "discovery")
        time.sleep(0.2)
        camera.send(number, picture())
        wait_until(lambda number=number: depths.stamps()[-1:] == [number], "depth")
        graph.go(node, "deactivate")
        camera.send(99, picture())
        time.sleep(0.1)
        graph.go(node, "cleanup")
    assert depths.stamps() == [0, 1, 2]


@pytest.mark.parametrize("state", STATES)
def test_from_each_state_allowed_transitions_go_and_others_change_nothing(graph, artifact_folder, state):
    node, diagnostics = None, Diagnostics(graph)
    for name in sorted(TRANSITIONS, key=lambda name: name in ALLOWED[state]):
        if node is None:
            node = graph.fastdepth(model=artifact_folder)
            graph.go(node, *STATES[state])
        if name in ALLOWED[state]:
            wait_until(lambda: diagnostics.facts["state"] == state, "its state on /diagnostics")
            graph.go(node, name)
            graph.do(lambda node=node: graph.remove(node))
            node = None
        else:
            with suppress(RCLError):  # as rclpy answers a second shutdown
                assert graph.do(getattr(node, f"trigger_{name}")) != TransitionCallbackReturn.SUCCESS
            assert graph.call(GetState, "get_state").current_state.label == state


def test_an_unforeseen_error_of_a_transition_is_told_and_can_be_mended(graph, artifact_folder, monkeypatch):
    node = graph.fastdepth(model=artifact_folder, remap={"image": "/camera/image"})
    diagnostics = Diagnostics(graph)
    graph.go(node, "configure")
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "begin", lambda self: 1 / 0)
        assert graph.do(node.trigger_activate) == TransitionCallbackReturn.ERROR
    assert diagnostics.told("ZeroDivisionError").level == DiagnosticStatus.ERROR
    graph.do(node.autostart)
    diagnostics.told("no frame on")


def test_a_node_that_loads_its_model_says_so(graph, observer, artifact_folder, monkeypatch):
    told = threading.Event()
    monkeypatch.setattr("fastdepth_ros.node.node.load_engine", lambda settings: told.wait(60) and load_engine(settings))
    node, diagnostics = graph.fastdepth(model=artifact_folder), Diagnostics(observer)
    configured = graph.begin(node.trigger_configure)
    assert diagnostics.told("the model is loaded").level == DiagnosticStatus.OK
    told.set()
    wait_until(configured.done, "the transition")
    assert configured.result() == TransitionCallbackReturn.SUCCESS
    assert diagnostics.told("inactive").level == DiagnosticStatus.WARN


@pytest.mark.parametrize(("way_on", "finding"), [("cleanup", "unconfigured"), ("shutdown", "finalized")])
def test_what_went_wrong_is_told_until_a_transition_leaves_it_behind(
    graph, artifact_folder, odd_backend, way_on, finding
):
    node = graph.fastdepth(model=artifact_folder, backend="odd")
    diagnostics = Diagnostics(graph)
    graph.go(node, "configure")
    odd_backend.off_m = 1.0
    assert graph.do(node.trigger_activate) == TransitionCallbackReturn.FAILURE
    wait_until(lambda: diagnostics.facts["findings"] == "cannot_run", "the diagnostic")
    graph.go(node, way_on)
    wait_until(lambda: diagnostics.facts["findings"] == finding, "the next")


@pytest.mark.parametrize("state", ["inactive", "active"])
def test_an_error_on_the_way_out_leaves_nothing_behind(graph, artifact_folder, monkeypatch, state):
    node = graph.fastdepth(model=artifact_folder)
    graph.go(node, *STATES[state])

    def broken(self):
        raise RuntimeError("of the middleware")

    target = "fastdepth_ros.node.node.FastDepthNode._close_camera"
    with monkeypatch.context() as patch:
        patch.setattr(target, broken)
        name = {"inactive": "cleanup", "active": "deactivate"}[state]
        assert graph.do(getattr(node, f"trigger_{name}")) == TransitionCallbackReturn.ERROR
    assert Diagnostics(graph).told("of the middleware").level == DiagnosticStatus.ERROR
    assert node.count_publishers("/depth/image") == 0


class HeapInfo(ctypes.Structure):
    """`mallinfo2` of glibc."""

    NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]


def used_memory() -> tuple[float, int]:
    """MB that malloc has given out, and blocks that Python has; resident memory varies by what they keep for later."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = HeapInfo
    heap = mallinfo2()
    return (heap.uordblks + heap.hblkhd) / 1e6, sys.getallocatedblocks()


def cycles(graph, artifact_folder, number: int) -> list[tuple[float, int]]:
    """Memory in use after each cycle through all states, with a frame through each."""
    node = graph.fastdepth(model=artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    topics, threads, used = [], [], []
    for count in range(number):
        graph.go(node, "configure", "activate")
        camera.wait()
        wait_until(lambda: node.count_subscribers("/depth/image"), "discovery")

        def sent(count=count):
            camera.send(count, picture())
            time.sleep(0.05)
            return depths.stamps()[-1:] == [count]

        wait_until(sent, "depth")
        graph.go(node, "deactivate", "cleanup")
        depths.heard.clear()
        gc.collect()
        wait_until(lambda: not graph.peer.count_publishers("/depth/image"), "the publishers to go")
        topics.append(len(node.get_publisher_names_and_types_by_node("fastdepth", "/")))
        topics.append(len(node.get_subscriber_names_and_types_by_node("fastdepth", "/")))
        threads.append(sum(thread.name.startswith("fastdepth") for thread in threading.enumerate()))
        used.append(used_memory())
    assert len(set(topics[::2])) == 1 and len(set(topics[1::2])) == 1
    assert set(threads) == {0}
    return used


def test_cycles_through_all_states_leave_no_thread_and_no_topic(graph, artifact_folder):
    cycles(graph, artifact_folder, 5)


@pytest.mark.slow
def test_a_hundred_cycles_leave_no_memory_either(graph, artifact_folder):
    used = cycles(graph, artifact_folder, 100)
    print("memory in use after each ten cycles:", *(f"{mb:.2f} MB and {blocks} blocks" for mb, blocks in used[9::10]))
    grown_mb, grown_blocks = np.subtract(used[-1], used[39])
    assert grown_mb < 0.6  # 10 kB a cycle, each of which has an engine of its own; seen: 2 kB
    assert grown_blocks < 60 * 40  # seen: 18; rclpy keeps a weak reference to each event handler of a publisher
