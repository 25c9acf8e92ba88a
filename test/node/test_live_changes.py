"""Parameters that change while frames flow: in effect from the next frame on, or refused with the reason."""

from __future__ import annotations

import shutil
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from ros_graph import CameraDriver, Diagnostics, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from fastdepth_ros.node.pipeline import Pipeline


def test_frames_go_on_through_the_old_model_while_the_new_one_is_loaded(
    graph, observer, artifact_folder, tmp_path, odd_backend
):
    node = graph.activated(artifact_folder, backend="odd")
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    meanwhile = Diagnostics(observer)
    camera.wait()
    other = shutil.copytree(artifact_folder, tmp_path / "other")
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "tiny"', '"name": "other"'))
    odd_backend.loading.clear()
    odd_backend.may_load.clear()
    answers = []
    # on the executor's thread, as the service is: nothing else is done there until it returns
    graph.begin(lambda: answers.append(node.set_parameters_atomically([Parameter("model", value=str(other))])))
    assert odd_backend.loading.wait(60)
    meanwhile.heard.clear()
    for number in range(1, 9):
        camera.send(number, picture())
        time.sleep(0.1)
        assert not answers
    wait_until(lambda: len(meanwhile.heard) > 1, "diagnostics meanwhile")
    assert not answers and "golden frame" in meanwhile.facts
    odd_backend.may_load.set()
    wait_until(lambda: answers, "the new model")
    assert answers[0].successful
    camera.send(9, picture())
    wait_until(lambda: depths.stamps()[-1:] == [9], "depth of the new model")
    wait_until(lambda: diagnostics.facts["model"] == "other", "its name")
    wait_until(lambda: int(diagnostics.facts["published"]) == len(depths.heard), "counts")
    found = diagnostics.facts
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
    node = graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    before = {name: node.get_parameter(name).value for name in values}
    assert reason in graph.change(node, **values)
    assert {name: node.get_parameter(name).value for name in values} == before
    camera.send(1, picture())
    wait_until(lambda: depths.stamps() == [1], "depth all the same")


def test_a_backend_that_hangs_while_a_change_is_prepared_stays_abandoned(graph, artifact_folder, monkeypatch):
    node = graph.activated(artifact_folder)
    pipeline, prepare = node._pipeline, Pipeline.prepare

    def struck(self, settings):
        engine = prepare(self, settings)
        self.abandon()  # as the watchdog does it on the executor's thread
        return engine

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "prepare", struck)
        assert "hung meanwhile" in graph.change(node, max_depth_m=3.0)
    assert pipeline._engine.abandoned and pipeline.settings.max_depth_m == 0.0
    assert graph.change(node, max_depth_m=3.0) == ""  # with a backend that is loaded anew
    assert not pipeline._engine.abandoned and pipeline.settings.max_depth_m == 3.0


def transition(graph, number: int) -> bool:
    return graph.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=number))).success


@pytest.mark.parametrize("error", [ImportError, RuntimeError, SystemExit])
def test_a_request_to_a_broken_engine_is_answered_and_the_node_lives(graph, artifact_folder, odd_backend, error):
    graph.activated(artifact_folder, backend="odd")
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()

    odd_backend.error = error("libengine.so")
    threads = SetParameters.Request(parameters=[Parameter("threads", value=2).to_parameter_msg()])
    (result,) = graph.call(SetParameters, "set_parameters", threads).results
    assert not result.successful and f"{error.__name__}: libengine.so" in result.reason
    checked = graph.call(Trigger, "check_golden")
    assert not checked.success and "libengine.so" in checked.message
    assert transition(graph, Transition.TRANSITION_DEACTIVATE)
    assert not transition(graph, Transition.TRANSITION_ACTIVATE)
    assert transition(graph, Transition.TRANSITION_CLEANUP)
    assert not transition(graph, Transition.TRANSITION_CONFIGURE)
    odd_backend.error = None
    assert transition(graph, Transition.TRANSITION_CONFIGURE) and transition(graph, Transition.TRANSITION_ACTIVATE)
    camera.wait()
    wait_until(lambda: camera.send(1, picture()) or depths.heard, "depth all the same")


def test_the_hot_path_changes_around_a_backend_that_stays(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    diagnostics = Diagnostics(graph)
    assert graph.change(node, output_size="camera", max_depth_m=0.01) == ""
    camera.send(1, picture(240, 320))
    wait_until(lambda: depths.heard, "depth")
    depth = depth_of(depths.heard[0])
    assert depth.shape == (240, 320) and np.isinf(depth).any()
    diagnostics.heard.clear()
    assert "golden frame" in diagnostics.facts  # of the backend that passed it: of another one it is unknown


def test_image_transport_and_reliability_change_the_subscription(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    depths = Listener(graph, "/depth/image", Image)
    CameraDriver(graph).wait()
    assert graph.change(node, image_transport="compressed", reliability="best_effort") == ""
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
    diagnostics = Diagnostics(graph)

    def enable(on: bool) -> SetBool.Response:
        return graph.call(SetBool, "enable", SetBool.Request(data=on))

    assert not enable(False).success  # not active
    graph.do(node.autostart)
    camera.wait()
    assert enable(False).success
    camera.send(1, picture())
    wait_until(lambda: diagnostics.facts.get("findings", "").split()[:1] == ["paused"], "a diagnostic")
    told = diagnostics.heard[-1].status[0].message
    assert "service call /fastdepth/enable std_srvs" in told  # a command that a shell can run
    assert diagnostics.facts["state"] == "active"
    assert enable(True).success
    camera.send(2, picture())
    wait_until(lambda: depths.stamps() == [2], "depth again, of no frame before")
