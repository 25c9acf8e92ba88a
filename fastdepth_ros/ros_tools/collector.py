"""The demo's listener: hears camera and node over DDS, keeps what the bag and the picture need."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Writer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fastdepth_ros.bags.recording import TYPES
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.stamps import stamp_ns

KEPT_MESSAGES = 90
SAMPLE_PERIOD_NS = 1_000_000_000
RECORDED = {
    "/depth/image": Image,
    "/depth/camera_info": CameraInfo,
    "/depth/image_color": Image,
    "/diagnostics": DiagnosticArray,
}


@dataclass
class Sample:
    """One moment of the demo: depth as it came, the frame and the truth (an Image message) of the same stamp."""

    stamp_ns: int
    depth: np.ndarray
    frame: Any
    truth: Any = None


class Collector(Node):
    """Counts, samples once a second, and records every message of the node's own topics."""

    def __init__(self, image_topic: str, image_type: type, truth_topic: str, writer: Writer) -> None:
        super().__init__("fastdepth_demo")
        self.frames = 0
        self.depths = 0
        self.samples: list[Sample] = []
        self.values: dict[str, str] = {}
        self.health = "no diagnostics yet"
        self.broken = False  # the node says that it cannot give depth
        self._frames: OrderedDict[int, Any] = OrderedDict()
        self._truths: OrderedDict[int, Any] = OrderedDict()
        qos = QoSProfile(depth=30)
        self.create_subscription(image_type, image_topic, self._on_frame, qos)
        if truth_topic:
            self.create_subscription(Image, truth_topic, lambda message: _keep(self._truths, message), qos)
        self._writer, self._connections = writer, {}
        for topic, message_type in RECORDED.items():
            ros_name = f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
            self._connections[topic] = writer.add_connection(topic, ros_name, typestore=TYPES)
            self.create_subscription(
                message_type, topic, lambda raw, topic=topic: self._on_output(topic, raw), qos, raw=True
            )

    def complete_samples(self) -> list[Sample]:
        """The samples, with the truth where it was heard: it may come after the depth."""
        for sample in self.samples:
            sample.truth = sample.truth or self._truths.get(sample.stamp_ns)
        return self.samples

    def _on_frame(self, message: Image | CompressedImage) -> None:
        self.frames += 1
        _keep(self._frames, message)

    def _on_output(self, topic: str, raw: bytes) -> None:
        now_ns = self.get_clock().now().nanoseconds
        self._writer.write(self._connections[topic], now_ns, raw)
        if topic == "/diagnostics":
            status = deserialize_message(raw, DiagnosticArray).status[0]
            self.health = status.message
            self.broken = status.level == DiagnosticStatus.ERROR
            self.values = {entry.key: entry.value for entry in status.values}
        elif topic == "/depth/image":
            self.depths += 1
            if not self.samples or now_ns - self.samples[-1].stamp_ns > SAMPLE_PERIOD_NS:
                self.complete_samples()
                message = deserialize_message(raw, Image)
                if frame := self._frames.get(stamp_ns(message)):  # a busy machine may not bring it here
                    self.samples.append(Sample(stamp_ns(message), meters_of(message), frame))


def _keep(messages: OrderedDict[int, Any], message: Any) -> None:
    messages[stamp_ns(message)] = message
    while len(messages) > KEPT_MESSAGES:
        messages.popitem(last=False)
