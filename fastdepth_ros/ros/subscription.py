"""The image subscription: depth 1, with the reliability that its publishers offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

from fastdepth_ros.ros.health import Inputs

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

DISCOVERY_PERIOD_S = 0.1
POLICIES = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}


class ImageSubscription:
    """Subscribes a topic and keeps its reliability matched to the publishers it discovers.

    Best effort hears every publisher but may lose large images; reliable hears only publishers that offer it. So it
    waits for the first publisher, then subscribes reliable where every publisher offers that, else best effort.

    Args:
        topic: fully resolved.
        reliability: "auto", or "reliable" / "best_effort" to fix it.
        lost: called with how many messages the middleware says it lost.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        message_type: type,
        reliability: str,
        callback: Callable[[Any], None],
        lost: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.topic = topic
        self.type_name = f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
        self._node, self._type, self._callback, self._lost = node, message_type, callback, lost
        self._policy: ReliabilityPolicy | None = None
        self._subscription: Any = None
        self._timer: Any = None
        if reliability == "auto":
            self._match()
            # steady: simulated time stands still until somebody plays, who may wait for us
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(DISCOVERY_PERIOD_S, self._match, clock=steady)
        else:
            self._subscribe(POLICIES[reliability])

    @property
    def reliability(self) -> str:
        return self._policy.name.lower() if self._policy is not None else "not subscribed: no publisher yet"

    def inputs(self, info_topic: str) -> Inputs:
        """Who publishes what we listen to, and what of it does not fit."""
        endpoints = self._node.get_publishers_info_by_topic(self.topic)
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
        )

    def take(self) -> None:
        """Hear what has come, while the executor is kept from it."""
        take(self._subscription)

    def destroy(self) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _match(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if publishers:
            reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
            self._subscribe(POLICIES["reliable" if reliable else "best_effort"])

    def _subscribe(self, policy: ReliabilityPolicy) -> None:
        if policy == self._policy:
            return
        old, self._policy = self._subscription, policy
        self._subscription = self._created(QoSProfile(depth=1, reliability=policy))
        if old is not None:
            self._node.destroy_subscription(old)
        self._node.get_logger().info(f"subscribed {self.topic}, {self.reliability}")

    def _created(self, qos: QoSProfile) -> Any:
        def create(**events: Any) -> Any:
            callbacks = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible, **events)
            return self._node.create_subscription(
                self._type, self.topic, self._callback, qos, event_callbacks=callbacks
            )

        try:
            return create(message_lost=lambda event: self._lost(event.total_count_change))
        except UnsupportedEventTypeError:  # not every middleware counts what it loses
            return create()

    def _on_incompatible(self, event: Any) -> None:
        self._node.get_logger().error(
            f"{self.topic}: {event.total_count_change} publisher offers less than we ask for ({self.reliability})"
        )

    def _incompatible(self, endpoints: list[Any]) -> dict[str, str]:
        if self._policy is None:
            return {}
        ours = QoSProfile(depth=1, reliability=self._policy)
        return _unfit((endpoint, endpoint.qos_profile, ours) for endpoint in endpoints)

    def _elsewhere(self) -> list[str]:
        return [
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if self.type_name in types and self._node.count_publishers(topic) and "depth/image" not in topic
        ]


def take(subscription: Any) -> None:
    """Hear what a subscription has, as the executor would."""
    if subscription is None:
        return
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is not None:
        subscription.callback(taken[0])


def unfit_subscribers(node: Node, topic: str) -> dict[str, str]:
    """Of each subscriber of what we publish whose QoS does not fit: its name and the reason."""
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
