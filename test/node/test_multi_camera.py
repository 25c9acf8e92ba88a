"""Several cameras on one machine: their list, their shares, and that each depth image is of its own camera."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from processes import end

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import available_cores
from fastdepth_ros.node.camera_list import ListedCamera, read_cameras, thread_share

ROOT = Path(__file__).resolve().parents[2]


def listed(path: Path, *cameras: object) -> Path:
    path.write_text(yaml.safe_dump({"cameras": list(cameras)}))
    return path


def test_the_example_is_a_list_of_two_cameras():
    front, rear = read_cameras(ROOT / "config" / "cameras.yaml")
    assert front.remappings == [("image", "image_raw"), ("camera_info", "camera_info")]
    assert (front.node_namespace, rear.node_namespace) == ("front", "robot/rear")
    assert rear.remappings[1] == ("camera_info", "/rear_camera/camera_info")
    assert rear.parameters == {"output_size": "camera"}


def test_camera_info_is_the_one_beside_the_image():
    assert ListedCamera("left", "/stereo/left/image_raw").remappings[1][1] == "/stereo/left/camera_info"


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"name": "front"}, "image"),
        ({"name": "front", "image": "image", "topic": "x"}, "may have"),
        ({"name": "front camera", "image": "image"}, "front camera"),
        ({"name": "front", "image": ""}, "image not empty"),
        ({"name": "front", "image": "/cam-1/image"}, "/cam-1/image"),
        ({"name": "front", "image": "image", "camera_info": "camera info"}, "camera info"),
        ({"name": 7, "image": "image"}, "texts"),
        ({"name": "front", "image": "image", "namespace": "a//b"}, "a//b"),
        ({"name": "front", "image": "image", "parameters": ["threads"]}, "pairs"),
        ({"name": "front", "image": "image", "parameters": {"thread": 1}}, "'thread'"),
        ({"name": "front", "image": "image", "parameters": {"threads": "1"}}, "of type int"),
        ({"name": "front", "image": "image", "parameters": {"threads": True}}, "of type int"),
        ({"name": "front", "image": "image", "parameters": {"reliability": "some"}}, "best_effort"),
        ("front", "'front'"),
    ],
)
def test_what_is_wrong_with_a_camera_is_told_with_its_file_and_place(tmp_path, entry, word):
    path = listed(tmp_path / "cameras.yaml", entry)
    with pytest.raises(FastDepthError) as refusal:
        read_cameras(path)
    assert word in str(refusal.value) and str(path) in str(refusal.value)


@pytest.mark.parametrize("text", ["", "cameras:", "cameras: []", "[1]", "cameras: front", "{", "\0"])
def test_a_file_that_is_no_list_of_cameras_is_refused(tmp_path, text):
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    with pytest.raises(FastDepthError, match="cameras.yaml"):
        read_cameras(path)


def test_qos_overrides_of_a_camera_are_parameters_too(tmp_path):
    overrides = {"qos_overrides./front/depth/image.publisher.depth": 1}
    path = listed(tmp_path / "cameras.yaml", {"name": "front", "image": "image", "parameters": overrides})
    assert read_cameras(path)[0].parameters == overrides


def test_a_missing_file_and_a_name_that_is_there_twice_are_refused(tmp_path):
    with pytest.raises(FastDepthError, match="absent.yaml"):
        read_cameras(tmp_path / "absent.yaml")
    front = {"name": "front", "image": "image"}
    with pytest.raises(FastDepthError, match="front is there twice"):
        read_cameras(listed(tmp_path / "cameras.yaml", front, front))
    with pytest.raises(FastDepthError, match="front is there twice"):
        read_cameras(listed(tmp_path / "cameras.yaml", front, {**front, "name": "other", "namespace": "/front"}))


@pytest.mark.parametrize(
    ("threads", "cores", "share"),
    [([0, 0], 8, 4), ([0, 0, 0], 8, 2), ([0, 0, 0], 2, 1), ([0], 6, 6), ([3, 0, 0], 8, 2), ([9, 0], 8, 1), ([2], 8, 6)],
)
def test_the_cores_are_divided_among_the_cameras_that_name_no_number(threads, cores, share):
    cameras = [ListedCamera(f"c{n}", "image", parameters={"threads": count}) for n, count in enumerate(threads)]
    assert thread_share(cameras, cores) == share


@contextmanager
def running(
    commands: list[list[str]], program: Sequence[str] = (sys.executable, "-m", "fastdepth_ros.node.multi_camera")
) -> Iterator[list[subprocess.Popen]]:
    processes = [subprocess.Popen([*program, *map(str, one)], stderr=subprocess.PIPE, text=True) for one in commands]
    try:
        yield processes
    finally:
        for process in processes:
            end(process)


@pytest.mark.parametrize("processes", ["one", "several"])
def test_each_depth_image_is_of_its_own_camera_and_each_node_has_its_share(graph, artifact_folder, tmp_path, processes):
    from rcl_interfaces.srv import GetParameters
    from ros_graph import CameraDriver, Listener, depth_of, picture, wait_until
    from sensor_msgs.msg import CameraInfo, Image

    cameras = listed(
        tmp_path / "cameras.yaml",
        {"name": "front", "image": "image_raw"},
        {"name": "rear", "image": "/back/image", "namespace": "robot/rear", "parameters": {"field_of_view": "full"}},
    )
    names = {"front": ("/front", "/front/image_raw", "trained"), "rear": ("/robot/rear", "/back/image", "full")}
    commands = [[cameras]] if processes == "one" else [[cameras, "--only", name] for name in names]
    artifact = find_artifact(artifact_folder)
    backend = artifact.load("onnxruntime", BackendOptions(threads=1))
    given = ["--ros-args", "-p", f"model:={artifact_folder}", "-p", "focal_scale:=off"]
    with running([[*one, *given] for one in commands]) as started:
        drivers, depths, infos = {}, {}, {}
        for name, (namespace, image, _) in names.items():
            depths[name] = Listener(graph, f"{namespace}/depth/image", Image)
            infos[name] = Listener(graph, f"{namespace}/depth/camera_info", CameraInfo)
            drivers[name] = CameraDriver(graph, image, info_topic=image.rpartition("/")[0] + "/camera_info")
        for name, driver in drivers.items():
            driver.wait()
            wait_until(lambda name=name: _greeted(drivers[name], depths[name], infos[name]), "the first depth")
        sent = {name: {} for name in names}
        for number in range(1, 9):  # in turns, each picture another
            name = list(names)[number % 2]
            sent[name][number] = picture(seed=number)
            drivers[name].send_info(number, 240, 320)
            drivers[name].send(number, sent[name][number])
            for heard in (depths[name], infos[name]):
                wait_until(lambda heard=heard, number=number: number in heard.stamps(), "depth and its camera_info")
        for name, (_, _, view) in names.items():
            estimate = DepthEstimator(
                backend, artifact.network, EstimatorOptions(field_of_view=view, focal_scale="off")
            )
            assert _after_greeting(depths[name].stamps()) == _after_greeting(infos[name].stamps()) == list(sent[name])
            for message in depths[name].heard[-len(sent[name]) :]:
                expected = estimate(Frame(sent[name][message.header.stamp.sec], "bgr")).depth
                np.testing.assert_allclose(depth_of(message), expected, atol=1e-5)
        for namespace, _, _ in names.values():
            client = graph.peer.create_client(GetParameters, f"{namespace}/fastdepth/get_parameters")
            assert client.wait_for_service(10)
            answer = client.call_async(GetParameters.Request(names=["threads"]))
            wait_until(answer.done, "the parameter")
            assert answer.result().values[0].integer_value == max(1, available_cores() // 2)
        for process in started:
            process.send_signal(signal.SIGINT)
        for process in started:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0 and "Traceback" not in errors, errors


def _greeted(driver, depth, info) -> bool:
    """Frames of stamp 0 until both sides know each other: what is published before that is lost."""
    driver.send_info(0, 240, 320)
    driver.send(0, np.zeros((240, 320, 3), np.uint8))
    time.sleep(0.1)
    return bool(depth.heard and info.heard)


def _after_greeting(stamps: list[int]) -> list[int]:
    return [stamp for stamp in stamps if stamp]


def test_a_camera_whose_model_is_missing_does_not_take_the_other_along(graph, artifact_folder, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray
    from ros_graph import CameraDriver, Listener, picture, wait_until
    from sensor_msgs.msg import Image

    cameras = listed(
        tmp_path / "cameras.yaml",
        {"name": "good", "image": "image", "parameters": {"model": str(artifact_folder)}},
        {"name": "bad", "image": "image", "parameters": {"model": "./absent"}},
    )
    diagnostics, depths = Listener(graph, "/diagnostics", DiagnosticArray), Listener(graph, "/good/depth/image", Image)
    with running([[cameras]]):
        camera = CameraDriver(graph, "/good/image", info_topic="/good/camera_info")
        camera.wait()
        wait_until(lambda: camera.send(1, picture()) or depths.heard, "depth")
        wait_until(lambda: len({array.status[0].name for array in diagnostics.heard}) == 2, "both nodes")
        said = {array.status[0].name: array.status[0].message for array in diagnostics.heard}
    assert said.keys() == {"good/fastdepth: depth", "bad/fastdepth: depth"}
    assert "no artifact at absent" in said["bad/fastdepth: depth"]


FAILING = """
import sys
from pathlib import Path
from fastdepth_ros.node import multi_camera as cameras
from fastdepth_ros.node.clock import ClockWatch
check = ClockWatch.check
FAIL = Path(__file__).with_name("fail")

def failing(self):
    if self._node.get_namespace() == "/bad" and self._node._label == "active" and FAIL.exists():
        raise LookupError("no clock")
    return check(self)

ClockWatch.check = failing
sys.exit(cameras.main(sys.argv[1:]))
"""


def test_a_camera_that_fails_is_told_as_long_as_the_other_goes_on(graph, artifact_folder, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray
    from ros_graph import CameraDriver, Listener, picture, wait_until
    from sensor_msgs.msg import Image

    model = {"parameters": {"model": str(artifact_folder), "focal_scale": "off"}}
    cameras = listed(
        tmp_path / "cameras.yaml", *({"name": name, "image": "image", **model} for name in ("good", "bad"))
    )
    (tmp_path / "failing.py").write_text(FAILING)
    diagnostics, depths = Listener(graph, "/diagnostics", DiagnosticArray), Listener(graph, "/good/depth/image", Image)
    with running([[cameras]], [sys.executable, str(tmp_path / "failing.py")]) as (process,):
        wait_until(lambda: said(diagnostics, "bad/fastdepth: depth"), "the node")  # else its last word is not heard
        (tmp_path / "fail").touch()
        wait_until(lambda: "LookupError: no clock" in said(diagnostics, "bad/fastdepth: depth"), "the failure", 60)
        wait_until(lambda: not graph.peer.count_publishers("/bad/depth/image"), "the failed camera to withdraw")
        wait_until(lambda: not graph.peer.count_services("/bad/fastdepth/check_golden"), "its services to go")
        camera = CameraDriver(graph, "/good/image", info_topic="/good/camera_info")
        camera.wait()
        wait_until(lambda: camera.send(1, picture()) or depths.heard, "depth of the other")
        late = Listener(graph, "/diagnostics", DiagnosticArray)
        wait_until(lambda: "LookupError: no clock" in said(late, "bad/fastdepth: depth"), "the reason, still told")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "this camera has ended, the others go on" in errors


def said(diagnostics, name: str) -> str:
    """All messages of a status."""
    return " ".join(status.message for array in diagnostics.heard for status in array.status if status.name == name)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["absent.yaml"], "absent.yaml"),
        (["cameras.yaml", "--only", "side"], "no camera 'side'"),
        (["cameras.yaml", "--ros-args", "--params-file", "absent.yaml"], "absent.yaml"),
    ],
)
def test_a_list_that_cannot_be_used_ends_the_program_with_its_reason(domain, tmp_path, arguments, word):
    listed(tmp_path / "cameras.yaml", {"name": "front", "image": "image"})
    with running([[tmp_path / arguments[0], *arguments[1:]]]) as (process,):
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert word in errors and "Traceback" not in errors
