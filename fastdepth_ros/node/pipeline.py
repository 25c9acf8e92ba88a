"""Processing of a frame in a configured node: decode, estimate, publish, count."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from fastdepth_ros.artifact.artifact import Artifact
from fastdepth_ros.depth.camera_info import (
    FrameCamera,
    StampCache,
    frame_camera,
    is_distorted,
    is_rectified,
)
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import SAMPLE_BITS, Frame, FrameError, SensorBits
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.diagnostics.statistics import Statistics
from fastdepth_ros.node.engine import Engine, changed_engine, chosen_anew, load_engine
from fastdepth_ros.node.messages import CameraInfoReader, DepthPublishers, frame_from_bytes
from fastdepth_ros.node.parameters import Settings

MAX_LOGGED = 100  # a hostile publisher can invent encodings without end
KEPT_CAMERA_INFOS = 30
BACKWARD_NS = 1_000_000_000
NEAREST_M, FURTHEST_M = 0.01, 1000.0  # depth all beyond them is in no meters
DOUBT_STEP = 8  # every eighth pixel is enough
BITS_FACT = "bits used of 16-bit samples"


class Arrival(NamedTuple):
    """A serialized image message with its header, and when it came on the performance counter, in nanoseconds."""

    image_type: type  # Image or CompressedImage
    serialized: bytes
    header: Header
    stamp_ns: int
    arrived_ns: int


@dataclass(frozen=True)
class Calibration:
    """Content of a camera_info, evaluated once for each size of frame.

    Args:
        lens: fault of the lens model, "" if none.
    """

    info: CameraInfo
    lens: str
    rectified: bool
    _of_shape: dict[tuple[int, int], FrameCamera] = field(default_factory=dict)

    def camera(self, shape: tuple[int, int]) -> FrameCamera:
        """Camera of frames of a shape (height, width)."""
        if shape not in self._of_shape:
            self._of_shape.clear()  # a hostile publisher can invent sizes without end
            self._of_shape[shape] = frame_camera(self.info, shape, rectified=self.rectified)
        return self._of_shape[shape]


class Pipeline:
    """Engine and publishers of a configured node. `process` runs on the worker's thread, the rest on the executor's."""

    def __init__(self, node: LifecycleNode, settings: Settings, engine: Engine) -> None:
        self.settings, self._engine, self._in_work = settings, engine, engine
        self.facts = dict(engine.facts)
        self.statistics = Statistics()
        self._cameras: StampCache[Calibration] = StampCache(KEPT_CAMERA_INFOS)
        self._newest_info_ns = 0
        self._last: Calibration | None = None  # since the activation
        self._node = node
        self._rectified = is_rectified(node.resolve_topic_name("image"))
        self._read_info = CameraInfoReader(self._calibration)
        self._publishers = DepthPublishers(node, settings.depth_encoding, settings.points)
        self._logged: set[str] = set()
        self._sensor = SensorBits(settings.bits)
        self._undistorter: Any = None  # until it is needed
        self.last_drop = ""  # why the last frame without depth gave none

    @property
    def artifact(self) -> Artifact:
        return self._engine.artifact

    @property
    def relative_model(self) -> str:
        """Name of the model if its depth is not in meters, else ""."""
        return "" if self.artifact.is_metric else self.artifact.name

    def begin(self) -> None:
        """Reset counters and cached camera_info, on activation."""
        self.statistics = Statistics()
        self.reset_cameras()
        self._last = None
        self._logged.clear()
        self._sensor = SensorBits(self.settings.bits)
        self.facts.pop(BITS_FACT, None)

    @property
    def lacks_camera(self) -> bool:
        """Whether there would be no depth, or depth that is not scaled though it should be, for want of camera_info."""
        needs = self.settings.undistort or (self._engine.estimator.wants_camera and not self._is_stated)
        return needs and self._last is None

    @property
    def _is_stated(self) -> bool:
        """Whether the parameters state the focal length of the camera."""
        return bool(self.settings.hfov_deg or self.settings.focal_px)

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes what a frame gives."""
        return self._publishers.wanted

    def reset_cameras(self) -> None:
        """Clear cached camera_info after a clock jump. The last one is used until another one comes: a latched
        camera_info does not come again."""
        self._cameras = StampCache(KEPT_CAMERA_INFOS)
        self._newest_info_ns = 0

    def prepare(self, settings: Settings) -> Engine:
        """Engine for other settings, while the present one goes on; on any thread.

        Raises:
            FastDepthError: as the message says.
        """
        return changed_engine(self._engine, settings) or load_engine(settings)

    def prepare_choice(self) -> Engine:
        """Engine of the choice that was measured, while the present one goes on; on any thread.

        Raises:
            FastDepthError: as the message says.
        """
        return chosen_anew(self._engine, self.settings)

    def change(self, settings: Settings, engine: Engine) -> None:
        """Use other settings from the next frame on."""
        if engine.backend is not self._engine.backend:
            self.facts.pop("golden frame", None)  # the new one passed it too, its error was not kept
        if settings.bits != self.settings.bits:
            self._sensor = SensorBits(settings.bits)
        self.settings, self._engine = settings, engine
        self.facts.update(engine.facts)

    def abandon(self) -> None:
        """Give up the frame in work: its depth is not published any more."""
        self._in_work.hung.set()
        self.statistics.count("abandoned")

    def reload(self) -> None:
        """Load the backend again, unless a change of parameters brought another one.

        Raises:
            FastDepthError: as the message says.
        """
        if self._engine.abandoned:
            settings = self.settings
            engine = load_engine(settings)
            if self.settings is settings:
                self.change(settings, engine)

    def make_ready(self) -> None:
        """Load a backend that hung again, and check the golden frame; raises as those two do."""
        self.reload()
        self.check_golden()

    def check_golden(self) -> float | None:
        """`Artifact.check_golden` of the backend, while no frame is in it; on any thread."""
        try:
            off_m = self._engine.artifact.check_golden(self._engine.backend, self._engine.choice.precision)
        except FastDepthError as error:
            self.facts["golden frame"] = str(error)
            raise
        self.facts["golden frame"] = "the manifest has none" if off_m is None else f"off by {off_m:.6f} m"
        return off_m

    def add_camera_info(self, serialized: bytes) -> None:
        try:
            stamp, calibration = self._read_info(serialized)
        except RuntimeError as error:  # of rclpy: no such message
            self._log_once("camera_info", f"camera_info unreadable: {error}")
            return
        if stamp < self._newest_info_ns - BACKWARD_NS:  # a bag that loops, a driver that restarts
            self.reset_cameras()
        self._newest_info_ns = max(stamp, self._newest_info_ns)
        self._cameras.add(stamp, calibration)
        self._last = calibration

    def _calibration(self, info: CameraInfo) -> Calibration:
        lens = "" if self._rectified or not is_distorted(info) else f"{info.distortion_model} distortion"
        return Calibration(info, lens, self._rectified)

    @property
    def depth_topic(self) -> str:
        return self._publishers.depth_topic

    @property
    def topics(self) -> list[str]:
        """Topics of what a frame gives."""
        return self._publishers.topics

    def close(self) -> None:
        self._publishers.close()

    def process(self, arrival: Arrival) -> None:
        """Process one frame; one that gives no depth is counted and logged."""
        stamp, arrived_ns = arrival.stamp_ns, arrival.arrived_ns
        started = time.perf_counter_ns()
        self._in_work = engine = self._engine
        try:
            frame = self._decoded(arrival)
            decoded = time.perf_counter_ns()
            takes_camera, undistorts = engine.estimator.takes_camera, self.settings.undistort
            camera = self._camera_of(stamp, frame) if takes_camera or undistorts else FrameCamera()
            if undistorts:
                frame, camera = self._undistorted(frame, camera)
            prepared = time.perf_counter_ns()
            if takes_camera and camera.matrix is None:
                self._drop("camera_needed", FrameError(camera.why))
                return
            inferred = engine.estimator.infer(frame, camera.matrix, camera.why)
            if engine.abandoned:
                return
            if not (takes_camera or undistorts):
                camera = self._camera_of(stamp, frame)  # as late as possible: it may come after its image
            result = engine.estimator.measure(inferred, camera.matrix, stamp, camera.why)
            estimated = time.perf_counter_ns()
            self._publishers.publish(arrival.header, result, camera, self.settings)
            published = time.perf_counter_ns()
            age_ns = self._node.get_clock().now().nanoseconds - stamp
            self._show_scale(result)
            self._doubt(frame, result)
            self.statistics.count_published(
                {
                    "wait": (started - arrived_ns) / 1e6,
                    "decode": (decoded - started) / 1e6,
                    **({"undistort": (prepared - decoded) / 1e6} if undistorts else {}),
                    **result.stages_ms,
                    "publish": (published - estimated) / 1e6,
                    "total": (published - arrived_ns) / 1e6,
                    "overhead": (published - arrived_ns) / 1e6 - result.stages_ms["infer"],
                    "age": age_ns / 1e6,
                }
            )
        except FrameError as error:
            self._drop("unreadable", error)
        except Exception as error:  # of any kind, from the engine; the next frame may be good
            if self._node.context.ok() and not engine.abandoned:  # else the node is shutting down
                self._drop("failed", error)

    def _decoded(self, arrival: Arrival) -> Frame:
        """Decode the frame. A rise of the bits that its 16-bit samples use is reported: from then on, the same light
        gives smaller numbers."""
        sensor, before = self._sensor, self._sensor.bits
        frame = frame_from_bytes(arrival.serialized, arrival.image_type, sensor)
        if sensor.frames:
            self.facts[BITS_FACT] = f"{sensor.bits} of {SAMPLE_BITS}"
        if sensor.bits != before:
            text = f"16-bit samples: {sensor.bits} bits used, {before or 'none'} before"
            if sensor.settled:
                self.statistics.count("bits_risen", f"from {before} to {sensor.bits}")
                self._node.get_logger().warning(f"{text}: frames are darker than they were")
            else:
                self._node.get_logger().info(text)
        return frame

    def _camera_of(self, stamp: int, frame: Frame) -> FrameCamera:
        """Camera of the frame, from its camera_info; faults of it are counted."""
        calibration = self._cameras.at(stamp) or self._last
        shape = frame.pixels.shape[:2]
        camera = calibration.camera(shape) if calibration is not None else frame_camera(None, shape)
        if self._is_stated:
            camera = self._stated_or(camera, shape)
        if camera.fault:
            self.statistics.count(camera.fault, camera.why)
        lens = calibration.lens if calibration is not None and not camera.fault else ""
        if self.settings.undistort:
            self._show("lens", lens)
        else:
            self._show("lens", lens and f"{lens}, not rectified: subscribe image_rect, or set undistort")
            self._show("camera_info", camera.note)
        return camera

    def _undistorted(self, frame: Frame, camera: FrameCamera) -> tuple[Frame, FrameCamera]:
        """The frame without distortion and its camera, or both as they are; why that cannot be is counted."""
        if not self._rectified:
            if self._undistorter is None:
                from fastdepth_ros.depth.undistort import Undistorter  # most cameras are rectified before

                self._undistorter = Undistorter()
            frame, camera = self._undistorter(frame, camera)
            if self._undistorter.problem:
                self.statistics.count("not_undistorted", self._undistorter.problem)
        self._show("camera_info", camera.note)
        return frame, camera

    def _show(self, name: str, text: str) -> None:
        """Show a fact on /diagnostics, unless it is empty."""
        if text:
            self.facts[name] = text
        else:
            self.facts.pop(name, None)

    def _stated_or(self, heard: FrameCamera, shape: tuple[int, int]) -> FrameCamera:
        """The camera of the parameters where no camera_info can be used; what differs between them is counted."""
        from fastdepth_ros.depth.stated_camera import differing_focal, stated_camera  # most robots have a camera_info

        stated = stated_camera(shape, self.settings.hfov_deg, self.settings.focal_px)
        if heard.fault:
            if self.settings.undistort:
                self.statistics.count("not_undistorted", f"{heard.why}, and a stated focal length says no distortion")
            return stated
        if why := differing_focal(heard, stated):
            self.statistics.count("focal_differs", why)
        return heard

    def _show_scale(self, result: DepthResult) -> None:
        self.facts["focal scale"] = f"{result.focal_scale:.4f}" if not result.unscaled else f"1: {result.unscaled}"
        if result.unscaled:
            self.statistics.count("unscaled", result.unscaled)

    def _doubt(self, frame: Frame, result: DepthResult) -> None:
        """Count a frame that carries no picture, and depth that no scene has."""
        if frame.is_blank:
            self.statistics.count("no_picture")
        sample = result.depth[::DOUBT_STEP, ::DOUBT_STEP]
        known = sample[np.isfinite(sample)]
        if known.size and (known.max() < NEAREST_M or known.min() > FURTHEST_M):
            self.statistics.count("implausible", f"{known.min():.3g} to {known.max():.3g} m")

    def _drop(self, name: str, error: Exception) -> None:
        text = f"{error}" if isinstance(error, FrameError) else f"{type(error).__name__}: {error}"
        self.last_drop = f"frame {name}: {text}"
        self.statistics.count(name, text)
        self._log_once(re.sub(r"\d+", "", text), self.last_drop)

    def _log_once(self, kind: str, text: str) -> None:
        """Log the first error of each kind; /diagnostics goes on counting."""
        if kind not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(kind)
            self._node.get_logger().error(text)
