"""What a configured node does with a frame: decode, estimate, publish, count."""

from __future__ import annotations

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fastdepth_ros.backends import Backend, BackendOptions
from fastdepth_ros.backends.in_turn import InTurn
from fastdepth_ros.depth.artifact import Artifact, find_artifact
from fastdepth_ros.depth.camera_matrix import is_distorted, is_rectified, matrix_of
from fastdepth_ros.depth.colour import colour_depth
from fastdepth_ros.depth.depth_image import DEPTH_TOPICS, encoded
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.depth.golden import GoldenError
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
        self._artifact = find_artifact(settings.model, settings.model_root)
        self._backend = InTurn(self._artifact.load(settings.backend, BackendOptions(settings.threads, settings.device)))
        self.settings = settings
        self.facts = {"backend": self._backend.engine, "model": self._artifact.name}
        self.statistics = Statistics()
        self._cameras: ByStamp[CameraInfo] = ByStamp(KEPT_CAMERA_INFOS)
        self._node = node
        self._estimator = estimator_for(settings, self._artifact, self._backend)
        self._rectified = is_rectified(node.resolve_topic_name("image"))
        self.depth_topic = node.resolve_topic_name(f"depth/{DEPTH_TOPICS[settings.depth_encoding]}")
        self._depth = node.create_lifecycle_publisher(Image, self.depth_topic, PUBLISHED)
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

    def check_golden(self) -> float | None:
        """`Artifact.check_golden` of the backend, while no frame is in it; on any thread."""
        try:
            off_m = self._artifact.check_golden(self._backend)
        except GoldenError as error:
            self.facts["golden frame"] = str(error)
            raise
        self.facts["golden frame"] = "the manifest has none" if off_m is None else f"off by {off_m:.6f} m"
        return off_m

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
            stamp, estimator = stamp_ns(message.header), self._estimator
            inferred = estimator.infer(frame)
            camera = self._camera_of(message.header, frame)  # now, for it may come after its image
            result = estimator.measure(inferred, matrix_of(camera, rectified=self._rectified), stamp)
            estimated = time.perf_counter_ns()
            self._tell_scale(result)
            self._publish(message.header, result, camera)
            published = time.perf_counter_ns()
            age_ns = self._node.get_clock().now().nanoseconds - stamp
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

    def _publish(self, header: Any, result: DepthResult, camera: CameraInfo | None) -> None:
        if camera is not None:
            fill_camera_info(self._info_message, header, camera, result.from_frame, result.depth.shape)
            self._depth_info.publish(self._info_message)
        encoding = self.settings.depth_encoding
        fill_image(self._depth_message, header, encoded(result.depth, encoding), encoding)
        self._depth.publish(self._depth_message)
        if self._colour.get_subscription_count():
            picture = colour_depth(result.depth, self.settings.color_near_m, self.settings.color_far_m)
            fill_image(self._colour_message, header, picture, "bgr8")
            self._colour.publish(self._colour_message)

    def _camera_of(self, header: Any, frame: Frame) -> CameraInfo | None:
        """The frame's camera_info; one that is missing or of another size is counted."""
        camera = self._cameras.at(stamp_ns(header))
        height, width = frame.pixels.shape[:2]
        if camera is None:
            self.statistics.count("camera_info_missing")
            return None
        if (camera.height, camera.width) != (height, width):
            self.statistics.count("camera_info_mismatch")
            self._tell_once(
                "camera_info",
                f"camera_info is {camera.width}x{camera.height}, frames are {width}x{height}: no depth/camera_info",
            )
            return None
        if is_distorted(camera) and not self._rectified:
            self.facts["lens"] = f"{camera.distortion_model} distortion, not rectified: subscribe image_rect"
        return camera

    def _tell_scale(self, result: DepthResult) -> None:
        self.facts["focal scale"] = f"{result.focal_scale:.4f}" if not result.unscaled else f"1: {result.unscaled}"
        if result.unscaled:
            self.statistics.count("unscaled")
            self._tell_once(
                "focal scale",
                f"depth is not scaled to this camera's focal length: {result.unscaled}. Publish a calibrated "
                "camera_info, or set focal_scale to off or to the number of fastdepth calibrate-scale",
            )

    def _drop(self, name: str, encoding: str, error: Exception) -> None:
        text = f"{error}" if isinstance(error, FrameError) else f"{type(error).__name__}: {error}"
        self.statistics.fail(name, text)
        self._tell_once(f"{type(error).__name__} {encoding}", f"frame {name}: {text}")

    def _tell_once(self, kind: str, text: str) -> None:
        """Log the first of each kind; /diagnostics goes on telling and counting."""
        if kind not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(kind)
            self._node.get_logger().error(text)


def estimator_for(settings: Settings, artifact: Artifact, backend: Backend) -> DepthEstimator:
    """The hot path as the parameters want it, around a backend that is loaded."""
    return DepthEstimator(
        backend,
        artifact.input_size_px,
        field=settings.field_of_view,
        output=settings.output_size,
        focal_scale=settings.focal_scale,
        trained_focal=artifact.trained_focal,
        max_depth_m=settings.max_depth_m,
        outside_training_view=settings.outside_training_view,
        temporal_filter=settings.temporal_filter,
    )
