"""What a configured node does with a frame: decode, estimate, publish, count."""

from __future__ import annotations

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.depth.artifact import find_artifact
from fastdepth_ros.depth.colour import colour_depth
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.pairing import ByStamp
from fastdepth_ros.ros.images import fill_camera_info, fill_image, frame_from_message, stamp_ns
from fastdepth_ros.ros.parameters import Settings
from fastdepth_ros.ros.statistics import Statistics

PUBLISHED = QoSProfile(depth=10)
MAX_TOLD = 100  # a hostile publisher can invent encodings without end
KEPT_CAMERA_INFOS = 30


class Pipeline:
    """Backend and publishers of a configured node. `process` runs on the worker's thread, the rest on the executor's.

    Raises:
        ArtifactError, BackendError, GoldenError: as the message says.
    """

    def __init__(self, node: LifecycleNode, settings: Settings) -> None:
        artifact = find_artifact(settings.model)
        options = BackendOptions(
            settings.threads, settings.device, settings.power_save, settings.precision, settings.channels
        )
        backend = artifact.load(settings.backend, options)
        self.settings = settings
        self.facts = {"backend": backend.engine, "model": artifact.name}
        self.statistics = Statistics()
        self._cameras: ByStamp[CameraInfo] = ByStamp(KEPT_CAMERA_INFOS)
        self._node = node
        self._estimator = DepthEstimator(
            backend, artifact.input_size_px, field=settings.field_of_view, output=settings.output_size
        )
        self._depth = node.create_lifecycle_publisher(Image, "depth/image", PUBLISHED)
        self._depth_info = node.create_lifecycle_publisher(CameraInfo, "depth/camera_info", PUBLISHED)
        self._colour = node.create_lifecycle_publisher(Image, "depth/image_color", PUBLISHED)
        # Reused from frame to frame: filling their memory anew is free, allocating it is not.
        self._depth_message, self._info_message, self._colour_message = Image(), CameraInfo(), Image()
        self._told: set[str] = set()

    def begin(self) -> None:
        """Start counting anew, on activation."""
        self.statistics = Statistics()
        self._cameras = ByStamp(KEPT_CAMERA_INFOS)
        self._told.clear()

    def add_camera_info(self, message: CameraInfo) -> None:
        self._cameras.add(stamp_ns(message.header), message)

    def close(self) -> None:
        for publisher in (self._depth, self._depth_info, self._colour):
            self._node.destroy_lifecycle_publisher(publisher)

    def process(self, message: Image | CompressedImage) -> None:
        """One frame; one that gives no depth is counted and told."""
        started = time.perf_counter_ns()
        try:
            frame = frame_from_message(message)
            decoded = time.perf_counter_ns()
            result = self._estimator(frame)
            estimated = time.perf_counter_ns()
            self._publish(message.header, result, frame.pixels.shape[:2])
            published = time.perf_counter_ns()
            age_ns = self._node.get_clock().now().nanoseconds - stamp_ns(message.header)
            self.statistics.time(
                {
                    "decode": (decoded - started) / 1e6,
                    **result.stages_ms,
                    "publish": (published - estimated) / 1e6,
                    "total": (published - started) / 1e6,
                    "age": age_ns / 1e6,
                }
            )
            self.statistics.count("published")
        except FrameError as error:
            self._drop("unreadable", getattr(message, "encoding", ""), error)
        except Exception as error:  # an engine's own; whatever it is, the next frame may be good
            if self._node.context.ok():  # else the node is shut down under our hands
                self._drop("failed", "", error)

    def _publish(self, header: Any, result: DepthResult, frame_shape: tuple[int, int]) -> None:
        self._publish_camera_info(header, result, frame_shape)
        fill_image(self._depth_message, header, result.depth, "32FC1")
        self._depth.publish(self._depth_message)
        if self._colour.get_subscription_count():
            picture = colour_depth(result.depth, self.settings.color_near_m, self.settings.color_far_m)
            fill_image(self._colour_message, header, picture, "bgr8")
            self._colour.publish(self._colour_message)

    def _publish_camera_info(self, header: Any, result: DepthResult, frame_shape: tuple[int, int]) -> None:
        camera = self._cameras.at(stamp_ns(header))
        if camera is None:
            self.statistics.count("camera_info_missing")
            return
        if (camera.height, camera.width) != frame_shape:
            self.statistics.count("camera_info_mismatch")
            self._tell_once(
                "camera_info",
                f"camera_info is {camera.width}x{camera.height}, frames are {frame_shape[1]}x{frame_shape[0]}: "
                "no depth/camera_info",
            )
            return
        fill_camera_info(self._info_message, header, camera, result.from_frame, result.depth.shape)
        self._depth_info.publish(self._info_message)

    def _drop(self, name: str, encoding: str, error: Exception) -> None:
        text = f"{error}" if isinstance(error, FrameError) else f"{type(error).__name__}: {error}"
        self.statistics.fail(name, text)
        self._tell_once(f"{type(error).__name__} {encoding}", f"frame {name}: {text}")

    def _tell_once(self, kind: str, text: str) -> None:
        """Log the first of each kind; /diagnostics goes on telling and counting."""
        if kind not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(kind)
            self._node.get_logger().error(text)
