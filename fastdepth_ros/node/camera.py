"""Image and camera_info subscriptions of an active node, and the worker that they feed."""

from __future__ import annotations

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from fastdepth_ros.node.hold import Hold
from fastdepth_ros.node.messages import stamp_ns
from fastdepth_ros.node.parameters import Settings
from fastdepth_ros.node.pipeline import Pipeline
from fastdepth_ros.node.stamps import StampWatch
from fastdepth_ros.node.subscription import ImageSubscription, InfoSubscription
from fastdepth_ros.node.watchdog import Watchdog

LENIENT_S = 1.0


class Camera:
    """Feeds a pipeline with the newest frame until it is closed."""

    def __init__(self, node: LifecycleNode, pipeline: Pipeline) -> None:
        self._node, self._pipeline = node, pipeline
        self.paused = False
        self._stamps = StampWatch()
        settings = pipeline.settings
        self.worker: Watchdog[tuple[Image | CompressedImage, int]] = Watchdog(
            lambda arrival: pipeline.process(*arrival),
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

    def change(self, settings: Settings) -> None:
        """Apply other settings to the subscriptions and the worker."""
        before = self._pipeline.settings
        self.worker.deadline_s, self.worker.load_deadline_s = settings.backend_deadline_s, settings.load_deadline_s
        if (before.image_transport, before.reliability) != (settings.image_transport, settings.reliability):
            old, self.subscription = self.subscription, self._subscribed(settings)
            old.destroy()

    def listen(self) -> None:
        """Take waiting messages while the executor waits for something else."""
        self._info.take()
        self.subscription.take()

    def forget(self) -> None:
        """Clear what was kept of stamps and camera_info after a clock jump."""
        self._stamps.forget(self._node.get_clock().now().nanoseconds, LENIENT_S)
        self._pipeline.forget()

    def close(self) -> bool:
        """Stop listening, finish the frame in work.

        Returns:
            Whether it was finished in time; if not, its thread is left behind.
        """
        self.subscription.destroy()
        self._info.destroy()
        self._hold.close()
        return self.worker.stop()

    def _subscribed(self, settings: Settings) -> ImageSubscription:
        compressed = settings.image_transport == "compressed"
        # As image_transport does: the name is remapped first, then gets the transport's suffix.
        topic = self._node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        image_type = CompressedImage if compressed else Image

        def lost(number: int) -> None:
            self._pipeline.statistics.count("lost", topic, number)

        return ImageSubscription(self._node, topic, image_type, settings.reliability, self._on_image, lost)

    def _on_info(self, serialized: bytes) -> None:
        self._pipeline.add_camera_info(serialized)
        self._hold.look()

    def _on_image(self, message: Image | CompressedImage) -> None:
        statistics = self._pipeline.statistics
        if self.paused:
            statistics.count("paused")
        else:
            self._hold.offer((message, time.perf_counter_ns()))
            self._check_header(message.header)
        statistics.count("received")

    def _check_header(self, header: Any) -> None:
        if not header.frame_id or header.frame_id.startswith("/"):
            self._pipeline.statistics.count("frame_id_unusable", header.frame_id)
        found = self._stamps.check(stamp_ns(header), self._node.get_clock().now().nanoseconds)
        for name, seconds in found.items():
            self._pipeline.statistics.count(name, str(seconds))
