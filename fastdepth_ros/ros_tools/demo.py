"""Demo: camera, fastdepth node and listener as three processes on a ROS domain of their own."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rosbags.rosbag2 import Writer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fastdepth_ros.bags.camera import busiest_camera_topic, image_connections
from fastdepth_ros.bags.reader import TYPES, open_bag
from fastdepth_ros.bags.synthetic_bag import IMAGE_TOPIC, TRUTH_TOPIC, write_synthetic_bag
from fastdepth_ros.bags.writer import new_bag
from fastdepth_ros.depth.camera_info import StampCache, camera_info_beside, stamp_ns, without_transport
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.estimator import PERCENTILES, stage_times_ms
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.processes import isolated_domain, node_module, run_module
from fastdepth_ros.metrics.depth import depth_errors, mean_errors
from fastdepth_ros.node.messages import frame_from_message
from fastdepth_ros.node.shutdown import lasting_executor, spin_some
from fastdepth_ros.node.subscription import of_messages
from fastdepth_ros.pictures.image_files import as_bgr, write_picture
from fastdepth_ros.pictures.panel import PanelRow, panel
from fastdepth_ros.ros_tools.camera import IMAGE_TOPIC as CAMERA_TOPIC

SYNTHETIC_FRAMES, SYNTHETIC_RATE_HZ = 45, 15.0
START_TIMEOUT_S = 60.0
TABLE_PERIOD_S = 0.25
PANEL_ROWS = 3
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
    """Depth image of the demo, with the messages of its frame and its ground truth (same stamp)."""

    stamp_ns: int
    depth: np.ndarray
    frame: Any
    truth: Any = None


class Collector(Node):
    """Node of the demo: counts frames and depth, samples once a second, records the topics of the fastdepth node."""

    def __init__(self, image_topic: str, image_type: type, truth_topic: str, writer: Writer) -> None:
        super().__init__("fastdepth_demo")
        self.frames = 0
        self.depths = 0
        self.samples: list[Sample] = []
        self.values: dict[str, str] = {}
        self.health = "no diagnostics yet"
        self.broken = False  # the node says that it cannot give depth
        self._frames: StampCache[Any] = StampCache(KEPT_MESSAGES)
        self._truths: StampCache[Any] = StampCache(KEPT_MESSAGES)
        qos = QoSProfile(depth=30)
        self.create_subscription(image_type, image_topic, of_messages(image_type, self._on_frame), qos, raw=True)
        if truth_topic:
            keep = of_messages(Image, lambda message: self._truths.add(stamp_ns(message), message))
            self.create_subscription(Image, truth_topic, keep, qos, raw=True)
        self._writer, self._connections = writer, {}
        for topic, message_type in RECORDED.items():
            ros_name = f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"
            self._connections[topic] = writer.add_connection(topic, ros_name, typestore=TYPES)
            self.create_subscription(
                message_type, topic, lambda raw, topic=topic: self._on_output(topic, raw), qos, raw=True
            )

    def complete_samples(self) -> list[Sample]:
        """The samples, with the ground truth where it was received: it may come after the depth."""
        for sample in self.samples:
            sample.truth = sample.truth or self._truths.of(sample.stamp_ns)
        return self.samples

    def _on_frame(self, message: Image | CompressedImage) -> None:
        self.frames += 1
        self._frames.add(stamp_ns(message), message)

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
                if frame := self._frames.of(stamp_ns(message)):  # a busy machine may not bring it here
                    self.samples.append(Sample(stamp_ns(message), meters_of(message), frame))


@dataclass(frozen=True)
class Source:
    """Module with arguments that publishes the images, and their topics."""

    player: tuple[str, ...]
    image_topic: str
    compressed: bool
    truth_topic: str


def run_demo(source: Source, seconds: float, out: Path, node_parameters: dict[str, str]) -> None:
    """Play the source into the node for some seconds; write `out`/demo.png and `out`/demo_bag.

    Raises:
        FastDepthError: no depth came.
    """
    console = Console()
    (out / "log").mkdir(parents=True, exist_ok=True)
    image = without_transport(source.image_topic, source.compressed)
    info = camera_info_beside(image)
    parameters = {**node_parameters, "image_transport": "compressed" if source.compressed else "raw"}
    node = node_module({"image": image, "camera_info": info}, parameters)
    shutil.rmtree(out / "demo_bag", ignore_errors=True)  # from an earlier demo
    with (
        isolated_domain(out / "log"),
        new_bag(out / "demo_bag") as writer,
        run_module(node, out / "node.log") as running,
        run_module(source.player, out / "camera.log") as camera,
    ):
        rclpy.init()
        try:
            collector = Collector(
                source.image_topic, CompressedImage if source.compressed else Image, source.truth_topic, writer
            )
            _listen(collector, (running, camera), seconds, console)
            if not collector.depths or _ended((running, camera)):
                which = "camera" if camera.poll() else "node"
                what = f"the {which} ended" if _ended((running, camera)) else "no depth came"
                log = (out / f"{which}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
                end = f"The log of the {which} ends:\n" + "\n".join(log)
                raise FastDepthError(f"{what}. The node says: {collector.health}. {end}")
        finally:
            rclpy.try_shutdown()
    samples = collector.complete_samples()
    if not samples:
        heard = f"{collector.depths} depth images and {collector.frames} frames were heard"
        raise FastDepthError(f"{heard}, no two of the same stamp")
    write_picture(out / "demo.png", panel([_panel_row(sample) for sample in _spread(samples)]))
    console.print(f"{collector.depths} depth images from {collector.frames} frames; {_accuracy(samples)}")
    console.print(f"written: {out / 'demo.png'}, {out / 'demo_bag'}")


def synthetic_source(out: Path) -> Source:
    """A room that the project renders, kept in `out` for the next demo."""
    bag = out / "room_bag"
    if not bag.exists():
        write_synthetic_bag(bag, frames=SYNTHETIC_FRAMES, rate_hz=SYNTHETIC_RATE_HZ)
    return Source(_playing(bag), IMAGE_TOPIC, False, TRUTH_TOPIC)


def camera_source(text: str) -> Source:
    """A webcam, a video or a stream; a video starts again at its end."""
    return Source(("fastdepth_ros.ros_tools.camera", text, "--loop"), CAMERA_TOPIC, False, "")


def bag_source(bag: Path, image_topic: str) -> Source:
    """A bag of the user's.

    Args:
        image_topic: "" takes the bag's topic with the most images that are not depth.

    Raises:
        BagError: unreadable, or no such topic.
    """
    with open_bag(bag) as reader:
        if not image_topic:
            image_topic = busiest_camera_topic(reader)
        compressed = image_connections(reader, image_topic)[0].msgtype == "sensor_msgs/msg/CompressedImage"
    return Source(_playing(bag), image_topic, compressed, "")


def _playing(bag: Path) -> tuple[str, ...]:
    return ("fastdepth_ros.ros_tools.bag_player", str(bag), "--loop", "--restamp", "--wait", "30")


def _listen(
    collector: Collector, processes: tuple[subprocess.Popen[bytes], ...], seconds: float, console: Console
) -> None:
    """Listen for some seconds from the first sample on; give up when node or camera end, or the node cannot start."""
    executor = lasting_executor()
    executor.add_node(collector)
    started, drawn, deadline = None, 0.0, time.monotonic() + START_TIMEOUT_S
    with Live(console=console, auto_refresh=False) as live:
        while (now := time.monotonic()) < deadline and not (collector.broken or _ended(processes)):
            spin_some(executor, TABLE_PERIOD_S)
            if started is None and collector.samples:  # discovery of the camera may take seconds more
                started, deadline = now, now + seconds
            if now - drawn > TABLE_PERIOD_S:
                live.update(_table(collector, now - started if started else 0.0), refresh=True)
                drawn = now


def _ended(processes: tuple[subprocess.Popen[bytes], ...]) -> bool:
    return any(process.poll() is not None for process in processes)


def _table(collector: Collector, elapsed_s: float) -> Table:
    values = collector.values
    table = Table(title=f"fastdepth on {values.get('backend', '...')}: {collector.health}")
    for heading in ("stage", *(f"p{percentile} [ms]" for percentile in PERCENTILES)):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, times_ms in stage_times_ms(values).items():
        table.add_row(stage, *(f"{time_ms:.3f}" for time_ms in times_ms.values()))
    counts = ", ".join(f"{name} {values[name]}" for name in ("received", "published", "replaced") if name in values)
    table.caption = f"{elapsed_s:.0f} s; heard {collector.depths} depth images; node: {counts or 'starting'}"
    return table


def _spread(samples: list[Sample]) -> list[Sample]:
    """A few samples, evenly over the demo, those with truth first."""
    chosen = [sample for sample in samples if sample.truth is not None] or samples
    return [chosen[index] for index in np.unique(np.linspace(0, len(chosen) - 1, PANEL_ROWS).round().astype(int))]


def _panel_row(sample: Sample) -> PanelRow:
    frame = frame_from_message(sample.frame)
    crop = trained_view(*frame.pixels.shape[:2])
    view = as_bgr(frame)[crop.slices]
    maps = {"depth": sample.depth}
    if sample.truth is not None:
        maps["truth"] = _truth(sample)
    return PanelRow(view, maps)


def _truth(sample: Sample) -> np.ndarray:
    """The truth on the depth's grid, to the nearest pixel."""
    meters = meters_of(sample.truth)
    crop = trained_view(*meters.shape)
    return cv2.resize(meters[crop.slices], sample.depth.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _accuracy(samples: list[Sample]) -> str:
    errors = [
        depth_errors(np.nan_to_num(sample.depth), _truth(sample)) for sample in samples if sample.truth is not None
    ]
    if not errors:
        return "no truth to compare with"
    figures = mean_errors(errors)
    return f"RMSE {figures['rmse']:.2f} m, delta1 {figures['delta1']:.2f} against the truth of {len(errors)} frames"
