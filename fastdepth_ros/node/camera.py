"""Image and camera_info subscriptions of an active node: stamps are checked, the newest frame goes to the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fastdepth_ros.node.parameters import Settings
from fastdepth_ros.node.pipeline import Arrival, Pipeline
from fastdepth_ros.node.subscription import ImageSubscription, InfoSubscription
from fastdepth_ros.node.worker import Watchdog

LENIENT_S = 1.0  # without a check of stamps after a clock jump
FUTURE_S = 0.1  # computers on one network differ by less
PAST_S = 10.0  # no network and no queue of a camera holds frames for longer
JUMP_S = 1.0


class Camera:
    """Image and camera_info subscriptions that feed the worker."""

    def __init__(self, node: LifecycleNode, pipeline: Pipeline) -> None:
        self._node, self._pipeline = node, pipeline
        self._paused = self._once = False
        self._stamps, self._pace = StampWatch(), Pace()
        settings = pipeline.settings
        self.worker: Watchdog[Arrival] = Watchdog(
            pipeline.process,
            lambda: pipeline.statistics.count("replaced"),
            pipeline.abandon,
            pipeline.reload,
            settings.backend_deadline_s,
            settings.load_deadline_s,
        )
        self.info_topic = node.resolve_topic_name("camera_info")
        self._info = InfoSubscription(node, self.info_topic, self._on_info)
        self._hold = Hold(node, pipeline, self.info_topic, self.worker.offer)
        self.subscription = self._subscribed(settings)

    @property
    def paused(self) -> bool:
        """Whether no frame is taken, by `~/enable`."""
        return self._paused

    @property
    def idle(self) -> bool:
        """Whether no frame is taken because nobody subscribes what it gives."""
        return self._pipeline.settings.lazy and not self._pipeline.wanted

    def pause(self, on: bool) -> None:
        """Take no frame until further notice, or take frames again."""
        self._paused = on
        self.subscription.match()

    def take_one(self, on: bool) -> None:
        """Take the next frame in any case, or no more in any case."""
        self._once = on
        self.subscription.match()

    def change(self, settings: Settings) -> None:
        """Apply other settings to the subscriptions and the worker."""
        before = self._pipeline.settings
        self.worker.deadline_s, self.worker.load_deadline_s = settings.backend_deadline_s, settings.load_deadline_s
        if (before.image_transport, before.reliability) != (settings.image_transport, settings.reliability):
            old, self.subscription = self.subscription, self._subscribed(settings)
            old.destroy()

    def watch(self) -> None:
        """Follow publishers and subscribers, and check the worker; call it every PERIOD_S of the worker.

        Raises:
            BackendLost: as of Watchdog.check.
        """
        self._info.match(asleep=not self._wants())
        self.subscription.match()
        self._hold.release()
        self.worker.check()

    def listen(self) -> None:
        """Take waiting messages while the executor waits for something else."""
        self._info.take()
        self.subscription.take()

    def reset(self) -> None:
        """Clear remembered stamps and cached camera_info after a clock jump."""
        self._stamps.reset(self._node.get_clock().now().nanoseconds, LENIENT_S)
        self._pipeline.reset_cameras()

    def close(self) -> bool:
        """Stop listening, finish the frame in work.

        Returns:
            Whether it was finished in time; if not, its thread is left behind.
        """
        self.subscription.destroy()
        self._info.destroy()
        return self.worker.stop()

    def _subscribed(self, settings: Settings) -> ImageSubscription:
        compressed = settings.image_transport == "compressed"
        # As image_transport does: the name is remapped first, then gets the transport's suffix.
        topic = self._node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        image_type = CompressedImage if compressed else Image

        def lost(number: int) -> None:
            self._pipeline.statistics.count("lost", topic, number)

        heard = partial(self._on_image, image_type)
        return ImageSubscription(self._node, topic, image_type, settings.reliability, heard, lost, self._wants)

    def _wants(self) -> bool:
        """Whether a frame is wanted now."""
        return self._once or not (self._paused or self.idle)

    def _on_info(self, serialized: bytes) -> None:
        self._pipeline.add_camera_info(serialized)
        self._hold.release()

    def _on_image(self, image_type: type, serialized: bytes) -> None:
        counted = {"received": ""}
        max_rate_hz = self._pipeline.settings.max_rate_hz
        if max_rate_hz and not self._once and not self._pace.allows(time.monotonic(), max_rate_hz):
            counted["skipped"] = ""
        elif (header := _header(serialized)) is None:
            counted["unreadable"] = f"{len(serialized)} bytes that hold no message"
        else:
            stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
            arrival = Arrival(image_type, serialized, header, stamp_ns, time.perf_counter_ns())
            self._hold.offer(arrival)
            frame_id, now_ns = header.frame_id, self._node.get_clock().now().nanoseconds
            if not frame_id or frame_id.startswith("/"):
                counted["frame_id_unusable"] = frame_id
            counted |= {name: str(seconds) for name, seconds in self._stamps.check(arrival.stamp_ns, now_ns).items()}
        self._pipeline.statistics.count_all(counted)
        if self._once:
            self.take_one(False)


class Pace:
    """Limit on the number of frames per second, by the time of their arrival."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def allows(self, now_s: float, rate_hz: float) -> bool:
        """Whether a frame that comes now may be taken.

        Due times follow each other at the limit's period, not at the frames' times: of 30 frames a second, a limit of
        20 takes two of three, not each second one.
        """
        late_s, period_s = now_s - self._due_s, 1 / rate_hz
        if late_s < 0:
            return False
        self._due_s = (self._due_s if late_s < period_s else now_s) + period_s
        return True


def _header(serialized: bytes) -> Header | None:
    """The first field of an image message; None if there is none."""
    try:
        return deserialize_message(serialized, Header)
    except RuntimeError:  # of rclpy
        return None


class Hold:
    """Holds back the newest frame until the first camera_info: without it, depth is wrong by a factor.

    It waits only where `focal_scale` is auto and camera_info has a publisher, once for each activation, and at most
    `camera_info_wait_s` from the first frame on. All on the executor's thread.

    Args:
        offer: function that takes the frames that are not held back.
    """

    def __init__(
        self, node: LifecycleNode, pipeline: Pipeline, info_topic: str, offer: Callable[[Arrival], object]
    ) -> None:
        self._node, self._pipeline, self._info_topic, self._offer = node, pipeline, info_topic, offer
        self._since_s: float | None = None
        self._kept: Arrival | None = None

    def offer(self, frame: Arrival) -> None:
        """Offer a frame now or later; a held frame is replaced."""
        if self._waits():
            self._pipeline.statistics.count("held")
            if self._kept is not None:
                self._pipeline.statistics.count("replaced")
            self._kept = frame
            return
        if self._kept is not None:
            self._pipeline.statistics.count("replaced")
            self._kept = None
        self._offer(frame)

    def release(self) -> None:
        """Offer the held frame, if the wait is over."""
        if self._kept is not None and not self._waits():
            frame, self._kept = self._kept, None
            self._offer(frame)

    def _waits(self) -> bool:
        if not self._pipeline.lacks_camera or not self._node.count_publishers(self._info_topic):
            return False
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s < self._pipeline.settings.camera_info_wait_s


class StampWatch:
    """Compares each stamp with the clock and with the one before it. Times are whole nanoseconds."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None  # stamp and time of the frame before
        self._lenient_until_ns = 0

    def reset(self, now_ns: int = 0, lenient_s: float = 0.0) -> None:
        """Start again after a clock jump; frames under way still have stamps from before it, so wait `lenient_s`."""
        self._last, self._lenient_until_ns = None, now_ns + int(lenient_s * 1e9)

    def check(self, stamp_ns: int, now_ns: int) -> dict[str, float]:
        """Faults of a stamp: seconds by name of the finding; empty for a good stamp."""
        if now_ns < self._lenient_until_ns:
            return {}
        if stamp_ns <= 0:
            return {"stamp_zero": stamp_ns / 1e9}
        found = {}
        if stamp_ns - now_ns > FUTURE_S * 1e9:
            found["stamp_future"] = (stamp_ns - now_ns) / 1e9
        if now_ns - stamp_ns > PAST_S * 1e9:
            found["stamp_past"] = (now_ns - stamp_ns) / 1e9
        if self._last is not None:
            step_ns, elapsed_ns = stamp_ns - self._last[0], now_ns - self._last[1]
            if step_ns <= 0 or abs(step_ns - elapsed_ns) > JUMP_S * 1e9:
                found["stamp_jump"] = step_ns / 1e9
        self._last = (stamp_ns, now_ns)
        return found
