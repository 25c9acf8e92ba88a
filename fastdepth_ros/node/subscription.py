"""Subscriptions of images and camera_info whose QoS follows their publishers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)
from rclpy.serialization import deserialize_message
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import CameraInfo

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.diagnostics.health import Inputs

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

DISCOVERY_PERIOD_S = 0.1
POLICIES = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}
QUEUE = 5  # of camera_info
LATCHED = QoSProfile(depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Publishers:
    """Publishers of a topic, without the endpoints that killed nodes left behind.

    Discovery keeps the endpoints of a process that was killed for some 20 s. Of the endpoints of one node and type,
    only those that came last count.
    """

    def __init__(self, node: Node, topic: str) -> None:
        self._node, self._topic = node, topic
        self._first_seen: dict[tuple[int, ...], float] = {}  # by the endpoint's identity

    def living(self) -> list[Any]:
        """The endpoints now."""
        now = time.monotonic()
        endpoints = self._node.get_publishers_info_by_topic(self._topic)
        came = {(gid := tuple(endpoint.endpoint_gid)): self._first_seen.get(gid, now) for endpoint in endpoints}
        self._first_seen = came
        newest: dict[tuple[str, str], float] = {}
        for endpoint in endpoints:
            key = endpoint_name(endpoint), endpoint.topic_type
            newest[key] = max(newest.get(key, 0), came[tuple(endpoint.endpoint_gid)])
        return [
            endpoint
            for endpoint in endpoints
            if came[tuple(endpoint.endpoint_gid)] == newest[endpoint_name(endpoint), endpoint.topic_type]
        ]

    def known_s(self, endpoints: list[Any]) -> float:
        """Seconds since the first of these endpoints was seen; 0.0 for none."""
        came = [self._first_seen[tuple(endpoint.endpoint_gid)] for endpoint in endpoints]
        return time.monotonic() - min(came) if came else 0.0


class MatchedSubscription:
    """Subscription of a topic whose QoS is matched to publishers.

    Messages are taken serialized. When publishers leave, Fast DDS (seen in 3.2) may keep a sample in its list whose
    memory it has given back: deserializing it while taking fails without end, which hangs the process.

    Args:
        topic: fully resolved.
        callback: function called with each serialized message.
        choose: the QoS for these publishers; None leaves it as it is, or waits for the first of them.
        lost: function called with the number of messages that the middleware says it lost.
        group: callback group; None is the node's.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: type,
        callback: Callable[[bytes], None],
        choose: Callable[[list[Any]], QoSProfile | None],
        lost: Callable[[int], None] | None = None,
        group: CallbackGroup | None = None,
    ) -> None:
        self._node, self._topic, self._type, self._callback = node, topic, message_type, callback
        self._choose, self._lost, self._group = choose, lost, group
        self._subscription: Any = None
        self._subscribed_at = 0.0
        self.qos: QoSProfile | None = None

    @property
    def subscribed_s(self) -> float:
        """Seconds since it was subscribed with its present QoS; 0.0 where it is not."""
        return time.monotonic() - self._subscribed_at if self.qos is not None else 0.0

    def match(self, publishers: list[Any]) -> None:
        """Subscribe with the QoS for these publishers."""
        qos = self._choose(publishers)
        if qos is not None and qos != self.qos:
            old, self.qos = self._subscription, qos
            self._subscription, self._subscribed_at = self._created(qos), time.monotonic()
            if old is not None:
                self._node.destroy_subscription(old)
            words = f"{qos.reliability.name}, {qos.durability.name}".lower()
            self._node.get_logger().info(f"subscribed {self._topic}, {words}")

    def take(self) -> None:
        """Take a waiting message while the executor does not."""
        if self._subscription is None:
            return
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(self._type, True)
        if taken is not None:
            self._on_sample(taken[0])

    def unsubscribe(self) -> None:
        """End the subscription until the next match."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self.qos = None

    def _on_sample(self, serialized: bytes) -> None:
        if serialized:  # else the sample's memory was given back; the next sample takes its place
            self._callback(serialized)

    def _created(self, qos: QoSProfile) -> Any:
        def create(**events: Any) -> Any:
            # Incompatible QoS is reported on /diagnostics, once it has lasted.
            callbacks = SubscriptionEventCallbacks(use_default_callbacks=False, **events)
            return self._node.create_subscription(
                self._type, self._topic, self._on_sample, qos,
                callback_group=self._group, event_callbacks=callbacks, raw=True,
            )  # fmt: skip

        lost = self._lost
        if lost is None:
            return create()
        try:
            return create(message_lost=lambda event: lost(event.total_count_change))
        except UnsupportedEventTypeError:  # not every middleware counts what it loses
            return create()


class _Sleeping(MutuallyExclusiveCallbackGroup):
    """Callback group that the executor passes over while it is asleep."""

    asleep = False

    def can_execute(self, entity: Any) -> bool:
        return not self.asleep and super().can_execute(entity)


class InfoSubscription:
    """camera_info of every publisher, with the latched message of those that latch.

    A latched message was sent once, maybe before this node started; only a reliable, transient local subscription
    receives it. It does not match publishers that offer less, so where both kinds publish there are two.
    `match` has to be called every DISCOVERY_PERIOD_S.
    """

    def __init__(self, node: Node, topic: str, callback: Callable[[bytes], None]) -> None:
        self._publishers, self._group = Publishers(node, topic), _Sleeping()
        self._parts = [
            MatchedSubscription(node, topic, CameraInfo, callback, choose, group=self._group)
            for choose in (info_qos, second_info_qos)
        ]
        self.match()

    def match(self, asleep: bool = False) -> None:
        """Subscribe with the QoS for the present publishers.

        Args:
            asleep: messages wait for the next match, since to wake the executor for each costs power.
        """
        living = self._publishers.living()
        for part in self._parts:
            part.match(living)
        self._group.asleep = asleep
        if asleep:
            self.take()

    def take(self) -> None:
        """Take waiting messages while the executor does not."""
        for part in self._parts:
            for _ in range(QUEUE):
                part.take()

    def destroy(self) -> None:
        for part in self._parts:
            part.unsubscribe()


class ImageSubscription:
    """Image subscription with a queue of 1.

    Best effort matches every publisher but may lose large images; reliable matches only publishers that offer it. So it
    waits for the first publisher, then subscribes reliable if every publisher offers it, else best effort.
    `match` has to be called every DISCOVERY_PERIOD_S.

    Args:
        topic: fully resolved.
        reliability: "auto", or "reliable" / "best_effort" to fix it.
        callback: function called with each serialized message.
        lost: function called with the number of messages that the middleware says it lost.
        wanted: whether to be subscribed now. It is asked in each match: Humble's rclpy has no event of a subscriber
            that comes or goes, and one more event for each publisher would lengthen every wait of the executor.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: type,
        reliability: str,
        callback: Callable[[bytes], None],
        lost: Callable[[int], None] | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.topic = topic
        self.type_name = f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
        self._node, self._asked, self._wanted = node, reliability, wanted
        self._publishers = Publishers(node, topic)
        self._subscription = MatchedSubscription(node, topic, message_type, callback, self._image_qos, lost)
        self.match()

    @property
    def reliability(self) -> str:
        if self._subscription.qos is not None:
            return self._subscription.qos.reliability.name.lower()
        return "not subscribed: " + ("no publisher yet" if self._wanted() else "no frame is wanted")

    def match(self) -> None:
        """Subscribe with the QoS for the present publishers, or unsubscribe where no image is wanted."""
        if self._wanted():
            self._subscription.match(self._publishers.living())
        else:
            self._subscription.unsubscribe()

    def take(self) -> None:
        """Take a waiting message while the executor is blocked."""
        self._subscription.take()

    def destroy(self) -> None:
        self._subscription.unsubscribe()

    def inputs(self, info_topic: str) -> Inputs:
        """Publishers of the subscribed topics, and those of them that do not fit."""
        self.match()  # first, for one that came this moment is not yet matched
        endpoints = self._publishers.living()
        ours = [endpoint for endpoint in endpoints if endpoint.topic_type == self.type_name]
        return Inputs(
            self.topic,
            self.type_name,
            len(ours),
            sum(endpoint.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for endpoint in ours),
            self._incompatible(ours),
            sorted({endpoint.topic_type for endpoint in endpoints} - {self.type_name}) if not ours else [],
            self._elsewhere() if not ours else [],
            info_topic,
            self._node.count_publishers(info_topic),
            min(self._publishers.known_s(ours), self._subscription.subscribed_s),
        )

    def _image_qos(self, publishers: list[Any]) -> QoSProfile | None:
        if self._asked != "auto":
            return QoSProfile(depth=1, reliability=POLICIES[self._asked])
        if not publishers:
            return None
        reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
        return QoSProfile(depth=1, reliability=POLICIES["reliable" if reliable else "best_effort"])

    def _incompatible(self, endpoints: list[Any]) -> dict[str, str]:
        ours = self._subscription.qos
        if ours is None:
            return {}
        return _unfit((endpoint, endpoint.qos_profile, ours) for endpoint in endpoints)

    def _elsewhere(self) -> list[str]:
        """Topics on which other nodes publish images, but for depth."""
        own = self._node.get_name(), self._node.get_namespace()
        return [
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if self.type_name in types
            and "depth/image" not in topic
            and any(
                (one.node_name, one.node_namespace) != own for one in self._node.get_publishers_info_by_topic(topic)
            )
        ]


def check_topic(name: str) -> None:
    """Check a topic's name.

    Raises:
        FastDepthError: ROS 2 does not allow it.
    """
    try:
        validate_topic_name(name)
    except NameValidationException as error:
        raise FastDepthError(" ".join(str(error).split())) from error


def of_messages(kind: type, callback: Callable[[Any], None]) -> Callable[[bytes], None]:
    """Callback of a subscription that takes messages serialized, see `MatchedSubscription`.

    Args:
        callback: function called with each message; bytes that hold none are left out.
    """

    def on_bytes(serialized: bytes) -> None:
        try:
            message: Any = deserialize_message(serialized, kind)
        except RuntimeError:  # of rclpy
            return
        callback(message)

    return on_bytes


def info_qos(publishers: list[Any]) -> QoSProfile:
    """QoS of a camera_info subscription that matches all of these publishers, latched if they all latch."""
    return LATCHED if publishers and all(map(_latches, publishers)) else qos_profile_sensor_data


def second_info_qos(publishers: list[Any]) -> QoSProfile | None:
    """QoS of a second subscription, for publishers that latch where others do not; None if there are none."""
    return LATCHED if info_qos(publishers) != LATCHED and any(map(_latches, publishers)) else None


def _latches(publisher: Any) -> bool:
    return qos_check_compatible(publisher.qos_profile, LATCHED)[0] != QoSCompatibility.ERROR


def unfit_subscribers(node: Node, topic: str) -> dict[str, str]:
    """Subscribers of our topic with incompatible QoS: the reason by name."""
    offers = [own.qos_profile for own in node.get_publishers_info_by_topic(topic) if own.node_name == node.get_name()]
    if not offers:
        return {}
    return _unfit((asks, offers[0], asks.qos_profile) for asks in node.get_subscriptions_info_by_topic(topic))


def _unfit(pairs: Iterable[tuple[Any, QoSProfile, QoSProfile]]) -> dict[str, str]:
    """The reason by the endpoint's name, of those where what is offered does not fit what is asked for."""
    found = {}
    for endpoint, offered, asked in pairs:
        compatibility, reason = qos_check_compatible(offered, asked)
        if compatibility == QoSCompatibility.ERROR:
            found[endpoint_name(endpoint)] = reason.strip().removeprefix("ERROR: ").rstrip(";")
    return found


def endpoint_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
