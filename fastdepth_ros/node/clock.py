"""Check of the node's clock: simulated time that stands still, jumps or is missing, a system clock that is set."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node

FORWARD_S = 10.0  # simulators step less
FIRST_S = 10.0  # a player that is launched with the node comes later
SET_S = 0.5  # a slewed clock differs by less in a second


class ClockWatch:
    """Detects a clock that jumps, stands still or is missing.

    Args:
        jumped: function called after a jump of simulated time.
    """

    def __init__(self, node: Node, jumped: Callable[[], None]) -> None:
        self._node, self._jumped = node, jumped
        self._jump_s = 0.0
        self._last_ns, self._checked_at = node.get_clock().now().nanoseconds, time.monotonic()
        threshold = JumpThreshold(min_forward=Duration(seconds=FORWARD_S), min_backward=Duration(nanoseconds=-1))
        self._made_at = time.monotonic()
        self._handle = node.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)

    def check(self) -> dict[str, float]:
        """Seconds by name of the finding, since the last check."""
        now_ns, now = self._node.get_clock().now().nanoseconds, time.monotonic()
        went_ns, elapsed_s = now_ns - self._last_ns, now - self._checked_at
        self._last_ns, self._checked_at = now_ns, now
        jump_s, self._jump_s = self._jump_s, 0.0
        if self._simulated():
            if went_ns == 0:
                return {self._standing(now_ns, now): now_ns / 1e9}
        elif abs(went_ns / 1e9 - elapsed_s) > SET_S:
            self._jumped()
            jump_s = went_ns / 1e9 - elapsed_s
        return {"clock_jump": jump_s} if jump_s else {}

    def _standing(self, now_ns: int, now: float) -> str:
        """The finding's name for simulated time that does not go on."""
        if now_ns == 0 and now - self._made_at < FIRST_S:
            return "clock_awaited"
        return "clock_still" if self._node.count_publishers("/clock") else "no_clock"

    def _simulated(self) -> bool:
        return self._node.get_parameter("use_sim_time").value

    def _on_jump(self, jump) -> None:
        if self._simulated() and self._last_ns:  # the first /clock is no jump
            self._jump_s = jump.delta.nanoseconds / 1e9
        self._jumped()
