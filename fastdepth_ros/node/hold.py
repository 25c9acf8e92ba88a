"""Hold frames back until the first camera_info: without it, depth is wrong by a factor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from fastdepth_ros.node.pipeline import Pipeline

PERIOD_S = 0.1


class Hold:
    """Hands frames on, but keeps the newest one while the first camera_info is awaited. One for each activation.

    It waits only where `focal_scale` is auto and somebody publishes camera_info, and once at most
    `camera_info_wait_s` from its first frame on. All on the executor's thread.

    Args:
        offer: takes the frames.
    """

    def __init__(
        self, node: LifecycleNode, pipeline: Pipeline, info_topic: str, offer: Callable[[Any], object]
    ) -> None:
        self._node, self._pipeline, self._info_topic, self._offer = node, pipeline, info_topic, offer
        self._since_s: float | None = None
        self._kept: Any = None
        self._timer = node.create_timer(PERIOD_S, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()

    def offer(self, frame: Any) -> None:
        """A frame, to be handed on now or later; a newer one takes its place."""
        if self._waits():
            self._pipeline.statistics.count("held")
            if self._kept is not None:
                self._pipeline.statistics.count("replaced")
            else:
                self._timer.reset()
            self._kept = frame
            return
        if self._kept is not None:
            self._pipeline.statistics.count("replaced")
            self._kept = None
            self._timer.cancel()
        self._offer(frame)

    def look(self) -> None:
        """Hand on what is kept, if the wait is over."""
        if self._kept is not None and not self._waits():
            frame, self._kept = self._kept, None
            self._timer.cancel()
            self._offer(frame)

    def close(self) -> None:
        self._kept = None
        self._node.destroy_timer(self._timer)

    def _waits(self) -> bool:
        if not self._pipeline.lacks_camera or not self._node.count_publishers(self._info_topic):
            return False
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s < self._pipeline.settings.camera_info_wait_s
