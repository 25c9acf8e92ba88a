"""Parameters that change while frames flow: in effect from the next frame on, or refused with the reason."""

from __future__ import annotations

import shutil
import threading
import time
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_graph import CameraDriver, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from fastdepth_ros.backends.onnxruntime import OnnxRuntimeBackend
from fastdepth_ros.node.pipeline import Pipeline


def activated(graph, artifact_folder, **parameters):
    node = graph.fastdepth(model=artifact_folder, **parameters)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    return node


def change(node, **values) -> str:
    """Reason for the refusal, or ""."""
    result = node.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()])
    return "" if result.successful else result.reason


def facts(diagnostics: Listener) -> dict[str, str]:
    wait_until(lambda: diagnostics.heard, "diagnostics")
    return {entry.key: entry.value for entry in diagnostics.heard[-1].status[0].values}


def test_frames_go_on_through_the_old_model_while_the_new_one_is_loaded(graph, artifact_folder, tmp_path, monkeypatch):
    node = activated(graph, artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    camera.wait()
    other = shutil.copytree(artifact_folder, tmp_path / "other")
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "tiny"', '"name": "other"'))
    loading, go_on, loads = threading.Event(), threading.Event(), OnnxRuntimeBackend.__init__

    def slow(self, *arguments) -> None:
        loading.set()
        go_on.wait(30)
        loads(self, *arguments)

    monkeypatch.setattr(OnnxRuntimeBackend, "__init__", slow)
    answers = []
    # on the executor's thread, as the service is: nothing else is done there until it returns
    graph.begin(lambda: answers.append(change(node, model=str(other))))
    loading.wait(10)
    told, publish = [], node._diagnostics.publish  # which none hears before the executor goes on
    monkeypatch.setattr(node._diagnostics, "publish", lambda message: (told.append(message), publish(message)))
    for number in range(1, 9):
        camera.send(number, picture())
        time.sleep(0.1)
        assert not answers
    wait_until(lambda: len(told) > 1, "diagnostics meanwhile")
    assert not answers
    assert "golden frame" in {entry.key for entry in told[-1].status[0].values}
    go_on.set()
    wait_until(lambda: answers, "the new model")
    assert answers == [""]
    camera.send(9, picture())
    wait_until(lambda: depths.stamps()[-1:] == [9], "depth of the new model")
    wait_until(lambda: facts(diagnostics)["model"] == "other", "its name")
    wait_until(lambda: int(facts(diagnostics)["published"]) == len(depths.heard), "counts")
    found = facts(diagnostics)
    assert "golden frame" not in found  # that was the other's
    assert len(depths.heard) + int(found["replaced"]) == 9 and len(depths.heard) > 5


REFUSALS = {
    "no such model": ({"model": "/no/such/model"}, "/no/such/model"),
    "no such backend": ({"backend": "abacus"}, "abacus"),
    "an engine without that device": ({"device": "tpu"}, "tpu"),
    "colors the wrong way round": ({"color_near_m": 9.0, "color_far_m": 3.0}, "not under"),
    "an encoding of another topic": ({"depth_encoding": "16UC1"}, "clean it up first"),
    "half a field of view": ({"field_of_view": "half"}, "trained, full"),
    "autostart, which is over": ({"autostart": False}, "read-only"),
    "a folder that is given at the start": ({"model_root": "/"}, "read-only"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_done_is_refused_with_reason_and_changes_nothing(graph, artifact_folder, case):
    values, reason = REFUSALS[case]
    node = activated(graph, artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    before = {name: node.get_parameter(name).value for name in values}
    assert reason in change(node, **values)
    assert {name: node.get_parameter(name).value for name in values} == before
    camera.send(1, picture())
    wait_until(lambda: depths.stamps() == [1], "depth all the same")


def test_a_backend_that_hangs_while_a_change_is_prepared_stays_abandoned(graph, artifact_folder, monkeypatch):
    node = activated(graph, artifact_folder)
    pipeline, prepare = node._pipeline, Pipeline.prepare

    def struck(self, settings):
        engine = prepare(self, settings)
        self.abandon()  # as the watchdog does it on the executor's thread
        return engine

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "prepare", struck)
        assert "hung meanwhile" in change(node, max_depth_m=3.0)
    assert pipeline._engine.abandoned and pipeline.settings.max_depth_m == 0.0
    assert change(node, max_depth_m=3.0) == ""  # with a backend that is loaded anew
    assert not pipeline._engine.abandoned and pipeline.settings.max_depth_m == 3.0


def answer(graph, kind: type, name: str, request: Any) -> Any:
    client = graph.peer.create_client(kind, f"/fastdepth/{name}")
    wait_until(client.service_is_ready, name)
    future = client.call_async(request)
    wait_until(future.done, f"an answer of {name}")
    return future.result()


def transition(graph, number: int) -> bool:
    return answer(graph, ChangeState, "change_state", ChangeState.Request(transition=Transition(id=number))).success


@pytest.mark.parametrize("error", [ImportError, RuntimeError, SystemExit])
def test_a_request_to_a_broken_engine_is_answered_and_the_node_lives(graph, artifact_folder, monkeypatch, error):
    activated(graph, artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()

    def broken(self, *_):
        raise error("libengine.so")

    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntimeBackend, "__init__", broken)
        patch.setattr(OnnxRuntimeBackend, "infer", broken)
        threads = SetParameters.Request(parameters=[Parameter("threads", value=2).to_parameter_msg()])
        (result,) = answer(graph, SetParameters, "set_parameters", threads).results
        assert not result.successful and f"{error.__name__}: libengine.so" in result.reason
        checked = answer(graph, Trigger, "check_golden", Trigger.Request())
        assert not checked.success and "libengine.so" in checked.message
        assert transition(graph, Transition.TRANSITION_DEACTIVATE)
        assert not transition(graph, Transition.TRANSITION_ACTIVATE)
        assert transition(graph, Transition.TRANSITION_CLEANUP)
        assert not transition(graph, Transition.TRANSITION_CONFIGURE)
    assert transition(graph, Transition.TRANSITION_CONFIGURE) and transition(graph, Transition.TRANSITION_ACTIVATE)
    camera.wait()
    wait_until(lambda: camera.send(1, picture()) or depths.heard, "depth all the same")


def test_the_hot_path_changes_around_a_backend_that_stays(graph, artifact_folder):
    node = activated(graph, artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    backend = node._pipeline._engine.backend
    assert change(node, output_size="camera", max_depth_m=0.01) == ""
    camera.send(1, picture(240, 320))
    wait_until(lambda: depths.heard, "depth")
    depth = depth_of(depths.heard[0])
    assert depth.shape == (240, 320) and np.isinf(depth).any()
    assert node._pipeline._engine.backend is backend


def test_image_transport_and_reliability_change_the_subscription(graph, artifact_folder):
    node = activated(graph, artifact_folder)
    CameraDriver(graph).wait()
    depths = Listener(graph, "/depth/image", Image)
    assert graph.do(lambda: change(node, image_transport="compressed", reliability="best_effort")) == ""
    wait_until(lambda: not graph.peer.count_subscribers("/image"), "the raw subscription to end")
    compressed = CameraDriver(graph, "/image/compressed", CompressedImage)
    compressed.wait()
    wait_until(lambda: graph.peer.count_subscribers("/depth/image"), "discovery")
    encoded = cv2.imencode(".png", picture())[1].tobytes()

    def heard():
        compressed.publish(3, CompressedImage(format="png", data=encoded))
        time.sleep(0.1)
        return depths.heard

    wait_until(heard, "depth of a compressed frame")


def test_the_service_enable_pauses_and_resumes_an_active_node(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Listener(graph, "/diagnostics", DiagnosticArray)
    client = graph.peer.create_client(SetBool, "/fastdepth/enable")

    def enable(on: bool) -> SetBool.Response:
        wait_until(client.service_is_ready, "the service")
        answer = client.call_async(SetBool.Request(data=on))
        wait_until(answer.done, "an answer")
        return answer.result()

    assert not enable(False).success  # not active
    node.autostart()
    camera.wait()
    assert enable(False).success
    camera.send(1, picture())
    wait_until(lambda: facts(diagnostics).get("findings", "").split()[:1] == ["paused"], "a diagnostic")
    told = diagnostics.heard[-1].status[0].message
    assert "service call /fastdepth/enable std_srvs" in told  # a command that a shell can run
    assert facts(diagnostics)["state"] == "active"
    assert enable(True).success
    camera.send(2, picture())
    wait_until(lambda: depths.stamps() == [2], "depth again, of no frame before")
