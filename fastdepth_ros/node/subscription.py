"""Subscriptions of images and camera_info whose QoS follows their publishers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)
from sensor_msgs.msg import CameraInfo

from fastdepth_ros.node.diagnostics.health import Inputs

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

DISCOVERY_PERIOD_S = 0.1
POLICIES = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}
# simulated time stands still until a bag is played, and its player may wait for this subscription
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
LATCHED = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


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
    """Subscribes a topic and keeps its QoS matched to the publishers it discovers.

    Messages are taken serialized. When publishers leave, Fast DDS (seen in 3.2) may keep a sample in its list whose
    memory it has given back: deserializing it while taking fails without end, which hangs the process.

    Args:
        topic: fully resolved.
        callback: called with each serialized message.
        choose: the QoS for these publishers; None leaves it as it is, or waits for the first of them.
        lost: called with how many messages the middleware says it lost.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: type,
        callback: Callable[[bytes], None],
        choose: Callable[[list[Any]], QoSProfile | None],
        lost: Callable[[int], None] | None = None,
    ) -> None:
        self.topic = topic
        self._node, self._type, self._callback, self._choose = node, message_type, callback, choose
        self._lost = lost
        self._qos: QoSProfile | None = None
        self._subscription: Any = None
        self._publishers, self._living = Publishers(node, topic), list[Any]()
        self._match()
        self._timer: Any = node.create_timer(DISCOVERY_PERIOD_S, self._match, clock=STEADY)

    def take(self) -> None:
        """Take a waiting message while the executor is blocked."""
        if self._subscription is None:
            return
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(self._type, True)
        if taken is not None:
            self._on_sample(taken[0])

    def destroy(self) -> None:
        self._node.destroy_timer(self._timer)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _on_sample(self, serialized: bytes) -> None:
        if serialized:  # else the sample's memory was given back; the next sample takes its place
            self._callback(serialized)

    def _match(self) -> None:
        """Subscribe with the QoS for the present publishers."""
        self._living = self._publishers.living()
        qos = self._choose(self._living)
        if qos is not None and qos != self._qos:
            old, self._qos = self._subscription, qos
            self._subscription = self._created(qos)
            if old is not None:
                self._node.destroy_subscription(old)
            words = f"{qos.reliability.name}, {qos.durability.name}".lower()
            self._node.get_logger().info(f"subscribed {self.topic}, {words}")

    def _created(self, qos: QoSProfile) -> Any:
        def create(**events: Any) -> Any:
            # Incompatible QoS is reported on /diagnostics, once it has lasted.
            callbacks = SubscriptionEventCallbacks(use_default_callbacks=False, **events)
            return self._node.create_subscription(
                self._type, self.topic, self._on_sample, qos, event_callbacks=callbacks, raw=True
            )

        lost = self._lost
        if lost is None:
            return create()
        try:
            return create(message_lost=lambda event: lost(event.total_count_change))
        except UnsupportedEventTypeError:  # not every middleware counts what it loses
            return create()


class InfoSubscription:
    """camera_info of every publisher, with the latched message of those that latch.

    A latched message was sent once, maybe before this node started; only a reliable, transient local subscription
    receives it. It does not match publishers that offer less, so where both kinds publish there are two.
    """

    def __init__(self, node: Node, topic: str, callback: Callable[[bytes], None]) -> None:
        self._parts = [
            MatchedSubscription(node, topic, CameraInfo, callback, choose) for choose in (info_qos, second_info_qos)
        ]

    def take(self) -> None:
        """Take waiting messages while the executor is blocked."""
        for part in self._parts:
            part.take()

    def destroy(self) -> None:
        for part in self._parts:
            part.destroy()


class ImageSubscription(MatchedSubscription):
    """Image subscription with a queue of 1.

    Best effort matches every publisher but may lose large images; reliable matches only publishers that offer it. So it
    waits for the first publisher, then subscribes reliable if every publisher offers it, else best effort.

    Args:
        topic: fully resolved.
        reliability: "auto", or "reliable" / "best_effort" to fix it.
        callback: called with each serialized message.
        lost: called with how many messages the middleware says it lost.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: type,
        reliability: str,
        callback: Callable[[bytes], None],
        lost: Callable[[int], None] | None = None,
    ) -> None:
        self.type_name = f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
        self._wanted = reliability
        super().__init__(node, topic, message_type, callback, self._image_qos, lost)

    @property
    def reliability(self) -> str:
        return self._qos.reliability.name.lower() if self._qos is not None else "not subscribed: no publisher yet"

    def inputs(self, info_topic: str) -> Inputs:
        """Publishers of the subscribed topics, and those of them that do not fit."""
        self._match()  # first, for one that came this moment is not yet matched
        endpoints = self._living
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
            self._publishers.known_s(ours),
        )

    def _image_qos(self, publishers: list[Any]) -> QoSProfile | None:
        if self._wanted != "auto":
            return QoSProfile(depth=1, reliability=POLICIES[self._wanted])
        if not publishers:
            return None
        reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
        return QoSProfile(depth=1, reliability=POLICIES["reliable" if reliable else "best_effort"])

    def _incompatible(self, endpoints: list[Any]) -> dict[str, str]:
        if self._qos is None:
            return {}
        ours = self._qos
        return _unfit((endpoint, endpoint.qos_profile, ours) for endpoint in endpoints)

    def _elsewhere(self) -> list[str]:
        return [
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if self.type_name in types and self._node.count_publishers(topic) and "depth/image" not in topic
        ]


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
