"""The image subscription: depth 1, with the reliability that its publishers offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

DISCOVERY_PERIOD_S = 0.1
POLICIES = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}


class ImageSubscription:
    """Subscribes a topic and keeps its reliability matched to the publishers it discovers.

    Best effort hears every publisher but may lose large images; reliable hears only publishers that offer it. So it
    waits for the first publisher, then subscribes reliable where every publisher offers that, else best effort.

    Args:
        topic: fully resolved.
        reliability: "auto", or "reliable" / "best_effort" to fix it.
    """

    def __init__(
        self, node: Node, topic: str, message_type: type, reliability: str, callback: Callable[[Any], None]
    ) -> None:
        self.topic = topic
        self._node, self._type, self._callback = node, message_type, callback
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

    def publishers(self) -> int:
        return self._node.count_publishers(self.topic)

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
        qos = QoSProfile(depth=1, reliability=policy)
        self._subscription = self._node.create_subscription(self._type, self.topic, self._callback, qos)
        if old is not None:
            self._node.destroy_subscription(old)
        self._node.get_logger().info(f"subscribed {self.topic}, {self.reliability}")
