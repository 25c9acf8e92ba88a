"""The node on a real graph: what goes in, what comes out, and what it says when something is wrong."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros_graph import KINECT_K, CameraDriver, Diagnostics, Listener, depth_of, facts_of, picture, wait_until
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header


def test_a_frame_comes_out_as_the_depth_of_the_hot_path_with_its_header(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    pixels = picture()
    camera.send(7, pixels)
    wait_until(lambda: depths.heard, "depth")
    message = depths.heard[0]
    assert (message.header.stamp.sec, message.header.frame_id) == (7, "eye")
    assert (message.height, message.width, message.encoding, message.step) == (224, 224, "32FC1", 896)
    artifact = find_artifact(artifact_folder)
    expected = DepthEstimator(artifact.load("onnxruntime"), artifact.network)(Frame(pixels, "bgr")).depth
    np.testing.assert_allclose(depth_of(message), expected, atol=1e-6)
    assert node.get_name() == "fastdepth"


def test_camera_info_goes_through_crop_and_scale_with_the_frames_stamp(graph, artifact_folder):
    graph.activated(artifact_folder, lazy=False)
    camera, infos = CameraDriver(graph), Listener(graph, "/depth/camera_info", CameraInfo)
    camera.wait()
    camera.send_info(1)
    time.sleep(0.3)
    camera.send(2, picture(480, 640))
    wait_until(lambda: infos.heard, "camera_info")
    info = infos.heard[0]
    assert (info.header.stamp.sec, info.header.frame_id, info.height, info.width) == (2, "eye", 224, 224)
    # crop 584 x 438 at (28, 21), pixel centers at whole numbers
    x, y = 224 / 584, 224 / 438
    expected = [518.858 * x, 0, (324.58 - 28 + 0.5) * x - 0.5, 0, 519.470 * y, (252.74 - 21 + 0.5) * y - 0.5, 0, 0, 1]
    np.testing.assert_allclose(info.k, expected, rtol=1e-9)
    np.testing.assert_allclose(np.reshape(info.p, (3, 4))[:, :3].ravel(), expected, rtol=1e-9)
    assert info.p[3] == pytest.approx(-7.0 * x)
    assert list(info.d) == [0.1] * 5


def test_output_on_the_cameras_grid_keeps_the_camera_matrix(graph, artifact_folder):
    graph.activated(artifact_folder, output_size="camera")
    camera = CameraDriver(graph)
    depths, infos = Listener(graph, "/depth/image", Image), Listener(graph, "/depth/camera_info", CameraInfo)
    camera.wait()
    camera.send_info(1)
    time.sleep(0.3)
    camera.send(2, picture(480, 640))
    wait_until(lambda: depths.heard and infos.heard, "depth")
    depth = depth_of(depths.heard[0])
    assert depth.shape == (480, 640)
    assert np.isnan(depth[:21]).all() and np.isfinite(depth[22:400, 30:600]).any()
    np.testing.assert_allclose(infos.heard[0].k, KINECT_K)


@pytest.mark.parametrize("reliable", [True, False])
def test_the_subscription_takes_the_reliability_of_its_publisher(graph, artifact_folder, reliable):
    node = graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph, reliable=reliable), Listener(graph, "/depth/image", Image)
    camera.wait()
    subscription = graph.peer.get_subscriptions_info_by_topic("/image")[0]
    expected = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    assert subscription.qos_profile.reliability == expected
    camera.send(1, picture())
    wait_until(lambda: depths.heard, "depth")
    assert node.count_subscribers("/image") == 1


def test_a_best_effort_publisher_turns_the_subscription_best_effort(graph, artifact_folder):
    graph.activated(artifact_folder)
    depths = Listener(graph, "/depth/image", Image)
    CameraDriver(graph).wait()
    second = CameraDriver(graph, reliable=False)

    def policies():
        return [info.qos_profile.reliability for info in graph.peer.get_subscriptions_info_by_topic("/image")]

    wait_until(lambda: policies() == [ReliabilityPolicy.BEST_EFFORT], "the subscription to change")
    second.wait()
    second.send(5, picture())
    wait_until(lambda: depths.stamps() == [5], "depth of the second camera")


def test_reliability_can_be_fixed_by_parameter(graph, artifact_folder):
    graph.activated(artifact_folder, reliability="best_effort", lazy=False)
    CameraDriver(graph).wait()
    infos = wait_until(lambda: graph.peer.get_subscriptions_info_by_topic("/image"), "the subscription")
    (info,) = infos
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_the_newest_frame_wins_and_replaced_ones_are_counted(graph, artifact_folder, odd_backend):
    odd_backend.delay_s = 0.15
    graph.activated(artifact_folder, backend="odd")
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    for number in range(1, 21):
        camera.send(number, picture())
        time.sleep(0.02)
    wait_until(lambda: depths.stamps()[-1:] == [20], "the newest frame")
    assert len(depths.heard) < 12
    assert depths.stamps() == sorted(set(depths.stamps()))
    wait_until(lambda: int(diagnostics.facts.get("published", 0)) == len(depths.heard), "counts")
    counts = {name: int(diagnostics.facts[name]) for name in ("received", "published", "replaced")}
    assert counts["replaced"] > 5
    assert counts["received"] == counts["published"] + counts["replaced"]


def test_diagnostics_give_rates_stage_times_backend_and_model(graph, artifact_folder):
    graph.activated(artifact_folder, lazy=False)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    camera.wait()

    def healthy():
        camera.send_info(None, 240, 320)
        camera.send(None, picture())
        time.sleep(0.03)
        return diagnostics.newest.level == DiagnosticStatus.OK

    wait_until(healthy, "an OK diagnostic")
    status = diagnostics.newest
    found = facts_of(status)
    assert status.name == "fastdepth: depth"
    assert float(found["rate in [Hz]"]) > 1 and float(found["rate out [Hz]"]) > 1
    for stage in ("decode", "preprocess", "infer", "postprocess", "publish", "total", "wait", "overhead"):
        p50, p95, p99 = (float(found[f"{stage} p{percent} [ms]"]) for percent in (50, 95, 99))
        assert 0 < p50 <= p95 <= p99
    assert "age p95 [ms]" in found
    assert found["backend"].startswith("onnxruntime ") and found["model"] == "tiny" and found["state"] == "active"


def test_the_colored_picture_is_made_only_while_somebody_listens(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    camera.send(1, picture())
    wait_until(lambda: depths.heard, "depth")
    colors = Listener(graph, "/depth/image_color", Image)
    wait_until(lambda: graph.peer.count_publishers("/depth/image_color"), "discovery")
    time.sleep(0.3)
    camera.send(2, picture())
    wait_until(lambda: colors.heard, "the picture")
    assert colors.stamps() == [2]
    message = colors.heard[0]
    assert (message.encoding, message.height, message.width) == ("bgr8", 224, 224)
    assert np.frombuffer(message.data, np.uint8).std() > 0


def test_compressed_frames_arrive_under_the_remapped_name(graph, artifact_folder):
    graph.activated(artifact_folder, image_transport="compressed", remap={"image": "/front/image_raw"})
    camera = CameraDriver(graph, "/front/image_raw/compressed", CompressedImage)
    depths = Listener(graph, "/depth/image", Image)
    camera.wait(info=False)
    encoded = cv2.imencode(".png", picture())[1]
    camera.publish(3, CompressedImage(format="png", data=encoded.tobytes()))
    wait_until(lambda: depths.heard, "depth")
    artifact = find_artifact(artifact_folder)
    expected = DepthEstimator(artifact.load(), artifact.network)(Frame(picture(), "bgr")).depth
    np.testing.assert_allclose(depth_of(depths.heard[0]), expected, atol=1e-6)


@pytest.mark.parametrize(("encoding", "topic"), [("32FC1", "/depth/image"), ("16UC1", "/depth/image_raw")])
def test_compressed_depth_is_that_of_the_depth_image(graph, artifact_folder, encoding, topic):
    graph.activated(artifact_folder, depth_encoding=encoding)
    camera, depths = CameraDriver(graph), Listener(graph, topic, Image)
    compressed = Listener(graph, f"{topic}/compressedDepth", CompressedImage)
    camera.wait()
    camera.send(7, picture())
    wait_until(lambda: depths.heard and compressed.heard, "both")
    message = compressed.heard[0]
    assert message.header == depths.heard[0].header and message.format == f"{encoding}; compressedDepth png"
    expected, read = meters_of(depths.heard[0]), meters_of(message)
    np.testing.assert_allclose(read, expected, atol=1e-3 + expected.max() ** 2 / 10100)


def test_the_qos_of_publishers_can_be_overridden(graph, artifact_folder):
    policy = "qos_overrides./depth/image.publisher"
    overrides = {"reliability": "best_effort", "durability": "transient_local", "depth": 1}
    node = graph.activated(artifact_folder, **{f"{policy}.{name}": value for name, value in overrides.items()})

    def qos(topic):
        (endpoint,) = wait_until(lambda: graph.peer.get_publishers_info_by_topic(topic), "the publisher")
        return endpoint.qos_profile

    for _ in range(2):
        assert qos("/depth/image").reliability == ReliabilityPolicy.BEST_EFFORT
        assert qos("/depth/image").durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert qos("/depth/camera_info").reliability == ReliabilityPolicy.RELIABLE
        graph.go(node, "deactivate", "cleanup")
        wait_until(lambda: not graph.peer.count_publishers("/depth/image"), "the publisher to go")
        graph.go(node, "configure", "activate")


def test_a_policy_that_does_not_exist_is_told(graph, artifact_folder):
    node = graph.fastdepth(model=artifact_folder, **{"qos_overrides./depth/image.publisher.reliability": "sometimes"})
    graph.do(node.autostart)
    assert "sometimes" in node.trouble


BAD_FRAMES = {
    "data shorter than step * height": {"data": b"\x00" * 10},
    "unknown encoding": {"encoding": "what8"},
    "step too small": {"step": 3},
    "zero height": {"height": 0},
    "too small": {"height": 8, "width": 8, "step": 24},
}


@pytest.mark.parametrize("changes", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_bad_frame_is_counted_and_told_and_the_next_good_one_gives_depth(graph, artifact_folder, changes):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    camera.send(1, picture(), **changes)
    status = diagnostics.told("unreadable")
    assert status.level == DiagnosticStatus.WARN
    assert facts_of(status)["unreadable"] == "1"
    camera.send(2, picture())
    wait_until(lambda: depths.stamps() == [2], "depth of the good frame")


@pytest.mark.parametrize("second", [-1, 0, 2**31 - 1])
def test_a_stamp_that_is_nonsense_does_not_end_the_work(graph, artifact_folder, second):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    for number in (second, 5):
        camera.send(number, picture())
        wait_until(lambda number=number: depths.stamps()[-1:] == [number], "depth")


def test_a_camera_info_that_never_comes_is_told(graph, artifact_folder):
    graph.activated(artifact_folder, lazy=False)
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    assert diagnostics.told("no camera_info received on /camera_info").level == DiagnosticStatus.WARN


def test_a_frame_gets_the_camera_info_of_its_own_stamp(graph, artifact_folder):
    graph.activated(artifact_folder, lazy=False)
    camera, infos = CameraDriver(graph), Listener(graph, "/depth/camera_info", CameraInfo)
    camera.wait()
    camera.send_info(1)
    camera.send_info(2, 48, 64)  # newer, of a size that the frame does not have
    time.sleep(0.3)
    camera.send(1, picture(480, 640))
    wait_until(lambda: infos.stamps() == [1], "camera_info")


def test_a_backend_that_gives_nothing_for_long_is_told(graph, artifact_folder, odd_backend):
    graph.activated(artifact_folder, backend="odd", backend_deadline_s=0.0, lazy=False)
    odd_backend.delay_s = 4.5
    camera, diagnostics = CameraDriver(graph), Diagnostics(graph)
    camera.wait()

    def told():
        camera.send(1, picture())
        time.sleep(0.2)
        return any("no depth came out" in array.status[0].message for array in list(diagnostics.heard))

    wait_until(told, "a diagnostic")
    assert diagnostics.told("no depth came out").level == DiagnosticStatus.ERROR


def test_a_corrupt_jpeg_is_counted_and_the_next_good_one_gives_depth(graph, artifact_folder):
    graph.activated(artifact_folder, image_transport="compressed")
    camera = CameraDriver(graph, "/image/compressed", CompressedImage)
    depths, diagnostics = Listener(graph, "/depth/image", Image), Diagnostics(graph)
    camera.wait()
    good = cv2.imencode(".jpg", picture())[1].tobytes()
    for number, data in enumerate([good[: len(good) // 2], b"not an image", b""]):
        camera.publish(number, CompressedImage(format="jpeg", data=data))
        time.sleep(0.2)
    wait_until(lambda: diagnostics.facts["unreadable"] == "3", "three drops")
    camera.publish(9, CompressedImage(format="jpeg", data=good))
    wait_until(lambda: depths.stamps() == [9], "depth of the good frame")


def test_bytes_that_hold_no_message_are_counted_and_frames_go_on(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera, bytes_of_images = CameraDriver(graph), graph.peer.create_publisher(Image, "/image", 10)
    depths, diagnostics = Listener(graph, "/depth/image", Image), Diagnostics(graph)
    camera.wait()
    wait_until(lambda: bytes_of_images.get_subscription_count(), "the node to subscribe")
    whole = serialize_message(Image(header=Header(frame_id="eye"), height=1, width=1, step=3, data=b"abc"))
    for number, serialized in enumerate([whole[:9], whole[:-1], b"\7" * 40], 1):
        bytes_of_images.publish(serialized)
        wait_until(lambda number=number: diagnostics.facts.get("unreadable") == str(number), "a count")
    assert "hold no message" in diagnostics.told("unreadable", "input").message
    bytes_of_images.publish(b"")  # what Fast DDS leaves of a sample of a publisher that went
    camera.send(9, picture())
    wait_until(lambda: depths.stamps() == [9], "depth of the good frame")
    assert diagnostics.facts["unreadable"] == "3"


def test_an_unfit_subscriber_of_any_product_is_told(graph, artifact_folder):
    graph.activated(artifact_folder)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    graph.peer.create_subscription(Image, "/depth/image_color", lambda message: None, latched)
    assert "/depth/image_color" in Diagnostics(graph).told("incompatible with").message


def test_the_depth_publishers_add_nothing_to_the_wait_of_the_executor(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    products = [publisher for publisher in node.publishers if publisher.topic_name.startswith("/depth")]
    assert len(products) >= 5 and not any(publisher.event_handlers for publisher in products)


def test_frames_may_change_size_and_encoding_from_one_to_the_next(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    for number, (size, encoding) in enumerate([((240, 320), "bgr8"), ((100, 90), "rgb8"), ((720, 1280), "bgr8")]):
        camera.send(number, picture(*size), encoding)
        wait_until(lambda number=number: depths.stamps()[-1:] == [number], f"depth of frame {number}")


def test_camera_info_of_another_size_is_not_passed_on_but_told(graph, artifact_folder):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    infos, diagnostics = Listener(graph, "/depth/camera_info", CameraInfo), Diagnostics(graph)
    camera.wait()
    camera.send_info(1, 480, 640)
    time.sleep(0.3)
    camera.send(2, picture(240, 320))
    wait_until(lambda: depths.heard, "depth")
    diagnostics.told("another size")
    assert not infos.heard


def test_a_missing_model_is_told_until_it_is_named_right(graph, artifact_folder):
    node = graph.fastdepth(model="/no/such/model")
    diagnostics = Diagnostics(graph)
    graph.do(node.autostart)
    assert diagnostics.told("/no/such/model").level == DiagnosticStatus.ERROR
    assert graph.change(node, model=str(artifact_folder)) == ""
    graph.do(node.autostart)
    wait_until(lambda: diagnostics.facts["state"] == "active", "the node to be active")


@pytest.mark.parametrize(
    ("pixels", "frame_id", "name"),
    [
        (np.zeros((240, 320, 3), np.uint8), "eye", "no_picture"),
        (picture(), "", "frame_id_unusable"),
        (picture(), "/eye", "frame_id_unusable"),
    ],
    ids=["covered lens", "no frame_id", "frame_id with a slash"],
)
def test_a_frame_whose_depth_is_worth_nothing_is_told_though_depth_comes(
    graph, artifact_folder, pixels, frame_id, name
):
    graph.activated(artifact_folder)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    diagnostics = Diagnostics(graph)
    camera.wait()
    header = Header(stamp=graph.peer.get_clock().now().to_msg(), frame_id=frame_id)
    camera.send(None, pixels, header=header)
    wait_until(lambda: depths.heard, "depth")
    wait_until(lambda: any(name in facts_of(m.status[0])["findings"].split() for m in diagnostics.heard), name)
