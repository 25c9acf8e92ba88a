"""`fastdepth view`: subscribes the topics of a running node and shows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from fastdepth_ros.depth.camera_info import StampCache, camera_info_beside, frame_camera, is_rectified, stamp_ns
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.estimator import stage_times_ms
from fastdepth_ros.depth.frame import FrameError, SensorBits
from fastdepth_ros.depth.points import points_of
from fastdepth_ros.node.messages import frame_from_message
from fastdepth_ros.node.shutdown import is_of_the_end, lasting_executor, spin_some
from fastdepth_ros.node.subscription import DISCOVERY_PERIOD_S, ImageSubscription, InfoSubscription, of_messages
from fastdepth_ros.pictures.image_files import as_bgr
from fastdepth_ros.view.live_view import LiveView, Moment
from fastdepth_ros.view.projection import view_of

KEPT_FRAMES = 20
WAIT_S = 0.5  # of a depth image for its frame and camera_info, which may come after it
SPIN_S = 0.2


def show_node(view: LiveView, depth_topic: str, image_topic: str, rate_hz: float) -> None:
    """Show a node's depth until the viewer or ROS is ended.

    Args:
        image_topic: image topic of the camera; "" takes the one that the node names on /diagnostics.
    """
    rclpy.init()
    try:
        executor = lasting_executor()
        executor.add_node(Viewer(view, depth_topic, image_topic, rate_hz))
        while view.running:
            spin_some(executor, SPIN_S)
    except Exception as error:
        if not (isinstance(error, ExternalShutdownException) or is_of_the_end(error)):
            raise
    finally:
        rclpy.try_shutdown()


class Viewer(Node):
    """Pairs depth with frame and camera matrices by stamp, and sends it to a LiveView at most `rate_hz` times a second.

    Args:
        depth_topic: the node's depth/image; its camera_info is in the same namespace.
    """

    def __init__(self, view: LiveView, depth_topic: str, image_topic: str, rate_hz: float, **options: Any) -> None:
        super().__init__("fastdepth_view", **options)
        self._view, self._period_s, self._shown_at = view, 1 / rate_hz, 0.0
        self._frames: StampCache[Any] = StampCache(KEPT_FRAMES)
        self._clouds: StampCache[PointCloud2] = StampCache(KEPT_FRAMES)
        self._depth_cameras: StampCache[CameraInfo] = StampCache(KEPT_FRAMES)
        namespace, is_usual, _ = depth_topic.rpartition("/depth/image")
        self._namespace = namespace[1:] if is_usual else None  # tells the node of this depth from other nodes
        self._camera: CameraInfo | None = None
        self._rectified = False
        self._image: ImageSubscription | None = None
        self._sensor = SensorBits()
        self._waiting: Image | None = None
        self._shown_text = ""
        self._give_up = self.create_timer(WAIT_S, self._show_waiting)
        self._listen(Image, depth_topic, self._on_depth)
        self._listen(CameraInfo, camera_info_beside(depth_topic), self._on_depth_camera)
        points_topic = f"{depth_topic.rpartition('/')[0]}/points"
        self._listen(PointCloud2, points_topic, self._on_points)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        if image_topic:
            self._listen_to(image_topic)

    def _listen(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self.create_subscription(kind, topic, of_messages(kind, callback), qos_profile_sensor_data, raw=True)

    def _listen_to(self, topic: str) -> None:
        self._rectified = is_rectified(topic)
        compressed = topic.endswith("/compressed")
        kind = CompressedImage if compressed else Image
        self._image = ImageSubscription(self, topic, kind, "auto", of_messages(kind, self._on_frame))
        info_topic = camera_info_beside(topic, compressed)
        info = InfoSubscription(self, info_topic, of_messages(CameraInfo, self._on_camera))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for subscription in (self._image, info):
            self.create_timer(DISCOVERY_PERIOD_S, subscription.match, clock=steady)

    def _on_frame(self, message: Image | CompressedImage) -> None:
        self._frames.add(stamp_ns(message), message)
        self._show_if_complete()

    def _on_camera(self, message: CameraInfo) -> None:
        self._camera = message

    def _on_depth_camera(self, message: CameraInfo) -> None:
        self._depth_cameras.add(stamp_ns(message), message)
        self._show_if_complete()

    def _on_points(self, message: PointCloud2) -> None:
        self._clouds.add(stamp_ns(message), message)
        self._show_if_complete()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, task = status.name.rpartition(": ")
            if task != "depth" or self._namespace not in (None, node.rpartition("/")[0]):
                continue
            values = {entry.key: entry.value for entry in status.values}
            if self._image is None and values.get("topic"):
                self._listen_to(values["topic"])
            medians_ms = {stage: ms[50] for stage, ms in stage_times_ms(values).items() if stage != "age"}
            self._view.show(Moment(stamp_ns(message), stages_ms=medians_ms))
            level = int.from_bytes(status.level, "little")
            if status.message != self._shown_text and (level or not self._shown_text):
                self._view.show_health(status.message, level)
                self._shown_text = status.message

    def _on_depth(self, message: Image) -> None:
        self._show_waiting()
        if time.monotonic() - self._shown_at < self._period_s:
            return
        self._waiting = message
        self._give_up.reset()
        self._show_if_complete()

    def _show_if_complete(self) -> None:
        if self._waiting is not None:
            stamp = stamp_ns(self._waiting)
            wanted = (self._frames, self._depth_cameras, *([self._clouds] if self._clouds.at(stamp) else []))
            if all(each.of(stamp) is not None for each in wanted):
                self._show_waiting()

    def _show_waiting(self) -> None:
        """Show the waiting depth image, with the frame and camera matrix that have come."""
        message, self._waiting = self._waiting, None
        if message is None:
            return
        self._shown_at = time.monotonic()
        stamp = stamp_ns(message)
        try:
            depth = meters_of(message)
            found = self._frames.of(stamp)
            frame = as_bgr(frame_from_message(found, self._sensor)) if found is not None else None
            cloud = self._clouds.of(stamp)
            points = points_of(cloud)[:, :3] if cloud is not None else None
        except FrameError as error:
            self.get_logger().error(f"cannot be shown: {error}", throttle_duration_sec=10.0)
            return
        camera = self._depth_cameras.at(stamp)
        k, why = _matrix(camera, depth.shape)
        if k is None:
            self.get_logger().warn(f"no point cloud of the depth: {why}", throttle_duration_sec=30.0, skip_first=True)
        seen = None
        if frame is not None:
            own, _ = _matrix(self._camera, frame.shape[:2], self._rectified)
            seen = view_of(frame, (message.width, message.height), own, k)
        self._view.show(Moment(stamp, frame, seen, depth, k, points=points))


def _matrix(info: CameraInfo | None, shape: tuple[int, int], rectified: bool = False) -> tuple[np.ndarray | None, str]:
    """3x3 camera matrix of images of a shape (height, width), or None and why there is none."""
    camera = frame_camera(info, shape, rectified=rectified)
    return None if camera.matrix is None else np.reshape(camera.matrix, (3, 3)), camera.why
