"""An active node's ear: the image and camera_info subscriptions and the worker that they feed."""

from __future__ import annotations

import time

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fastdepth_ros.ros.pipeline import Pipeline
from fastdepth_ros.ros.subscription import ImageSubscription
from fastdepth_ros.ros.worker import NewestFirst


class Camera:
    """Feeds a pipeline with the newest frame until it is closed."""

    def __init__(self, node: LifecycleNode, pipeline: Pipeline) -> None:
        self._node, self._pipeline = node, pipeline
        self._worker: NewestFirst[tuple[Image | CompressedImage, int]] = NewestFirst(
            lambda arrival: pipeline.process(*arrival), lambda: pipeline.statistics.count("replaced")
        )
        compressed = pipeline.settings.image_transport == "compressed"
        # As image_transport does: the name is remapped first, then gets the transport's suffix.
        topic = node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        self.info_topic = node.resolve_topic_name("camera_info")
        self._info = node.create_subscription(CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data)
        self.subscription = ImageSubscription(
            node, topic, CompressedImage if compressed else Image, pipeline.settings.reliability, self._on_image
        )

    def close(self) -> bool:
        """Stop listening, finish the frame in work.

        Returns:
            Whether it was finished in time; if not, its thread is left behind.
        """
        self.subscription.destroy()
        self._node.destroy_subscription(self._info)
        return self._worker.stop()

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._pipeline.add_camera_info(message)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._worker.offer((message, time.perf_counter_ns()))
        self._pipeline.statistics.count("received")
