"""Subscriptions that follow their publishers: reliability, latched camera_info, endpoints of killed nodes."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from ros_graph import CameraDriver, wait_until
from sensor_msgs.msg import CameraInfo, Image

from fastdepth_ros.node import subscription
from fastdepth_ros.node.subscription import (
    DISCOVERY_PERIOD_S,
    ImageSubscription,
    InfoSubscription,
    Publishers,
    info_qos,
    second_info_qos,
)

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def endpoint(gid: int, name: str = "eye", reliability: ReliabilityPolicy = RELIABLE, **qos) -> SimpleNamespace:
    return SimpleNamespace(
        endpoint_gid=[gid],
        node_namespace="/",
        node_name=name,
        topic_type="sensor_msgs/msg/Image",
        qos_profile=QoSProfile(depth=1, reliability=reliability, **qos),
    )


def living(*looks: list[SimpleNamespace]) -> list[list[int]]:
    """Identities of the endpoints taken for living, look by look."""
    left = list(looks)
    publishers = Publishers(SimpleNamespace(get_publishers_info_by_topic=lambda topic: left.pop(0)), "/image")
    return [[found.endpoint_gid[0] for found in publishers.living()] for _ in looks]


def test_a_dead_endpoint_is_passed_over_once_its_node_is_back():
    dead, successor = endpoint(1, reliability=BEST_EFFORT), endpoint(2)
    assert living([dead], [dead, successor], [successor, dead], [successor]) == [[1], [2], [2], [2]]


def test_a_publisher_is_known_since_its_first_look():
    publishers = Publishers(SimpleNamespace(get_publishers_info_by_topic=lambda topic: [endpoint(1)]), "/image")
    publishers.living()
    time.sleep(0.02)
    assert 0.02 <= publishers.known_s(publishers.living()) < 10 and publishers.known_s([]) == 0.0


def test_endpoints_of_several_nodes_and_those_that_came_together_all_live():
    several = [endpoint(1), endpoint(2), endpoint(3, name="other")]
    assert living(several, [*several, endpoint(4, name="third")]) == [[1, 2, 3], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("offers", "latched", "second"),
    [
        ([], False, False),
        ([endpoint(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)], True, False),
        ([endpoint(1, reliability=BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL)], False, False),
        ([endpoint(1)], False, False),
        ([endpoint(1, durability=DurabilityPolicy.TRANSIENT_LOCAL), endpoint(2)], False, True),
    ],
)
def test_camera_info_is_subscribed_so_that_every_publisher_is_heard(offers, latched, second):
    assert (info_qos(offers).durability == DurabilityPolicy.TRANSIENT_LOCAL) == latched
    assert (second_info_qos(offers) is not None) == second


def followed(graph, subscription):
    """A subscription of the peer that follows its publishers."""
    graph.do(lambda: graph.peer.create_timer(DISCOVERY_PERIOD_S, subscription.match))
    return subscription


def test_a_latched_camera_info_is_heard_beside_one_that_is_not_latched(graph):
    latched = graph.peer.create_publisher(CameraInfo, "/camera_info", LATCHED)
    latched.publish(CameraInfo(width=640))
    silent = graph.peer.create_publisher(CameraInfo, "/camera_info", 10)
    wait_until(lambda: graph.peer.count_publishers("/camera_info") == 2, "both publishers")
    heard: list[int] = []
    made = graph.do(
        lambda: InfoSubscription(
            graph.peer, "/camera_info", lambda raw: heard.append(deserialize_message(raw, CameraInfo).width)
        )
    )
    followed(graph, made)
    wait_until(lambda: heard == [640], "the latched one")
    wait_until(lambda: silent.publish(CameraInfo(width=320)) or 320 in heard, "the other")


def test_camera_info_latched_before_is_heard_and_one_that_is_not_too(graph):
    early = graph.peer.create_publisher(CameraInfo, "/camera_info", LATCHED)
    early.publish(CameraInfo(width=640))
    wait_until(lambda: graph.peer.count_publishers("/camera_info"), "the publisher")
    heard: list[bytes] = []
    followed(graph, graph.do(lambda: InfoSubscription(graph.peer, "/camera_info", heard.append)))
    wait_until(lambda: heard, "the latched camera_info")
    graph.do(lambda: graph.peer.destroy_publisher(early))
    before = len(heard)
    late = graph.peer.create_publisher(CameraInfo, "/camera_info", 1)

    def is_heard() -> bool:
        late.publish(CameraInfo(width=320))
        return len(heard) > before

    wait_until(is_heard, "camera_info that is not latched")


def test_every_subscription_of_large_messages_takes_them_serialized():
    package = Path(subscription.__file__).parents[1]
    calls = [
        ast.unparse(call)
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "create_subscription"
    ]
    assert len(calls) > 5
    assert not [call for call in calls if "raw=True" not in call and "(DiagnosticArray" not in call]


def test_bytes_that_hold_no_message_are_left_out():
    heard: list[Image] = []
    on_bytes = subscription.of_messages(Image, heard.append)
    for serialized in (b"", b"\0\1\0\0", serialize_message(Image(width=7))):
        on_bytes(serialized)
    assert [message.width for message in heard] == [7]


def test_a_best_effort_publisher_is_not_blamed_where_it_is_followed(graph):
    fixed = graph.do(lambda: ImageSubscription(graph.peer, "/image", Image, "reliable", lambda _: None))
    auto = graph.do(lambda: ImageSubscription(graph.peer, "/image", Image, "auto", lambda _: None))
    followed(graph, auto)
    CameraDriver(graph, reliable=True)
    wait_until(lambda: auto.reliability == "reliable", "a reliable subscription")
    CameraDriver(graph, reliable=False)
    wait_until(lambda: graph.peer.count_publishers("/image") == 2, "both publishers")
    assert not graph.do(lambda: auto.inputs("/camera_info")).incompatible
    assert graph.do(lambda: fixed.inputs("/camera_info")).incompatible
