"""Content of a bag with depth: depth images, frames and diagnostics, read in one pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from tqdm import tqdm

from fastdepth_ros.bags.camera import (
    busiest_camera_topic,
    depth_lens_note,
    first_camera_info,
    image_connections,
    lens_note,
)
from fastdepth_ros.bags.reader import BagError, BagReader, open_bag, read_messages
from fastdepth_ros.depth.camera_info import frame_camera, is_rectified, stamp_ns
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.estimator import stage_times_ms
from fastdepth_ros.depth.frame import FrameError, SensorBits, decode_message
from fastdepth_ros.depth.options import DEPTH_ENCODINGS
from fastdepth_ros.depth.points import points_of
from fastdepth_ros.pictures.color_map import color_depth
from fastdepth_ros.pictures.image_files import as_bgr, jpeg
from fastdepth_ros.view.cloud_picture import cloud_picture
from fastdepth_ros.view.projection import view_of

DEPTH_TOPICS = tuple(f"/depth/{encoding.topic}" for encoding in DEPTH_ENCODINGS.values())
POINTS_TOPIC, POINTS_TYPE, CLOUDS_SHOWN = "/depth/points", "sensor_msgs/msg/PointCloud2", 3
DIAGNOSTICS_TYPE = "diagnostic_msgs/msg/DiagnosticArray"
PERCENTILES = (5, 50, 95)
EDGES_M = np.geomspace(0.1, 100.0, 121)  # of the histogram
PICTURE_PX = (384, 288)
DROPS = ("replaced", "unreadable", "failed")


@dataclass(frozen=True)
class DepthPicture:
    """One depth image as JPEG, and the same view of its frame where the frame is known."""

    stamp_ns: int
    depth_jpeg: bytes
    median_m: float
    frame_jpeg: bytes = b""


@dataclass(frozen=True)
class Health:
    """One message of the node on /diagnostics: `level` 0 OK, 1 WARN, 2 ERROR; `values` as text."""

    stamp_ns: int
    level: int
    message: str
    values: dict[str, str]

    def stages_ms(self, percentile: int) -> dict[str, float]:
        """Duration of each stage at 50, 95 or 99 percent."""
        return {stage: ms[percentile] for stage, ms in stage_times_ms(self.values).items() if percentile in ms}


@dataclass
class Recorded:
    """Depth of a bag.

    Args:
        stamps_ns: stamps of the depth images, in order of recording.
        percentiles_m: (images, 3) depth at 5, 50 and 95 percent of each image's valid pixels, NaN without any.
        valid: share of valid pixels of each image.
        histogram: pixels per bin of EDGES_M, over all images.
        image_stamps_ns: stamps of the camera's images, empty where no bag has them.
        points: number of points of each cloud on POINTS_TOPIC, and the stamps of these clouds.
        cloud_jpegs: pictures of a few clouds, by stamp.
        unreadable: number of unreadable messages by reason.
        notes: notes on the recording, for people.
    """

    name: str
    depth_topic: str
    size_px: tuple[int, int] = (0, 0)
    stamps_ns: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    percentiles_m: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    valid: np.ndarray = field(default_factory=lambda: np.empty(0))
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(len(EDGES_M) - 1, np.int64))
    image_topic: str = ""
    image_stamps_ns: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    health: list[Health] = field(default_factory=list)
    pictures: list[DepthPicture] = field(default_factory=list)
    points: np.ndarray = field(default_factory=lambda: np.empty((2, 0), np.int64))
    cloud_jpegs: dict[int, bytes] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def drops(self) -> dict[str, int]:
        """Frames that gave no depth while the bag was recorded, by the node's own count; {} without diagnostics."""
        total: dict[str, int] = {}
        for before, after in zip(self.health, self.health[1:]):
            for name in DROPS:
                if name in before.values and name in after.values:
                    grown = int(after.values[name]) - int(before.values[name])
                    # a smaller count: the node was activated again and counts from 0
                    total[name] = total.get(name, 0) + (grown if grown >= 0 else int(after.values[name]))
        return total

    def without_depth(self) -> int:
        """Images of the camera that have no depth of the same stamp."""
        return len(np.setdiff1d(self.image_stamps_ns, self.stamps_ns))


def read_recorded(
    bag: Path, *, depth_topic: str = "", images: Path | None = None, image_topic: str = "", shown: int = 60
) -> Recorded:
    """Read a bag that the node or `fastdepth bag` wrote.

    Args:
        depth_topic: "" takes the node's: /depth/image or /depth/image_raw.
        images: bag with the camera's images; None takes `bag`.
        image_topic: topic of the camera; "" takes the one with the most images that are not depth, if any.
        shown: number of pictures, evenly spaced.

    Raises:
        BagError: unreadable, no such topic, no depth image, or `images` is of another recording.
    """
    with open_bag(bag) as reader:
        notes = list(reader.notes)
        there = {connection.topic for connection in reader.connections}
        depth_topic = depth_topic or next((topic for topic in DEPTH_TOPICS if topic in there), DEPTH_TOPICS[0])
        connections = image_connections(reader, depth_topic)
        recorded = Recorded(bag.name, depth_topic, notes=notes)
        _read_depths(recorded, reader, connections, shown)
        _read_points(recorded, reader)
        recorded.health = _health(reader)
        info = first_camera_info(reader, depth_topic, connections)
        depth_camera = _camera_matrix(info, recorded.size_px[::-1], depth_topic)
        of_depth = depth_lens_note(info)
        if images is None:
            _read_images(recorded, reader, image_topic, depth_camera, required=bool(image_topic))
    if images is not None:
        with open_bag(images) as reader:
            _read_images(recorded, reader, image_topic, depth_camera, required=True)
        if not np.isin(recorded.image_stamps_ns, recorded.stamps_ns).any():
            raise BagError(f"no image of {images} has the stamp of a depth image of {bag}: of another recording?")
    if of_depth and not recorded.image_topic:
        recorded.notes.append(of_depth)
    return recorded


def _read_depths(recorded: Recorded, reader: AnyReader, connections: list[Connection], shown: int) -> None:
    count = sum(connection.msgcount for connection in connections)
    chosen = set(np.linspace(0, max(count - 1, 0), max(min(shown, count), 1)).round().astype(int).tolist())
    stamps, percentiles, valid = [], [], []
    progress = tqdm(read_messages(reader, connections), total=count, desc="depth", unit="image")
    for index, (message, _) in enumerate(progress):
        try:
            depth = meters_of(message)
        except FrameError as error:
            recorded.unreadable[f"{recorded.depth_topic}: {error}"] += 1
            continue
        seen = depth[(depth > 0) & np.isfinite(depth)]
        recorded.histogram += np.histogram(seen, EDGES_M)[0]
        stamps.append(stamp_ns(message))
        percentiles.append(np.percentile(seen, PERCENTILES) if seen.size else np.full(3, np.nan))
        valid.append(seen.size / depth.size)
        recorded.size_px = (depth.shape[1], depth.shape[0])
        if index in chosen:
            picture = cv2.resize(color_depth(depth), PICTURE_PX, interpolation=cv2.INTER_NEAREST)
            recorded.pictures.append(DepthPicture(stamps[-1], jpeg(picture), float(percentiles[-1][1])))
    if not stamps:
        why = "; ".join(recorded.unreadable) or "the topic is empty"
        raise BagError(f"{reader.paths[0]} has no depth image on {recorded.depth_topic}: {why}")
    recorded.stamps_ns = np.array(stamps)
    recorded.percentiles_m, recorded.valid = np.array(percentiles), np.array(valid)


def _read_points(recorded: Recorded, reader: BagReader) -> None:
    connections = [one for one in reader.connections if (one.topic, one.msgtype) == (POINTS_TOPIC, POINTS_TYPE)]
    total = sum(connection.msgcount for connection in connections)
    shown = set(np.linspace(0, total - 1, min(CLOUDS_SHOWN, total)).round().astype(int).tolist())
    counts = []
    for index, (message, _) in enumerate(read_messages(reader, connections)):
        try:
            points = points_of(message)
        except FrameError as error:
            recorded.unreadable[f"{POINTS_TOPIC}: {error}"] += 1
            continue
        counts.append((len(points), stamp_ns(message)))
        if index in shown:
            recorded.cloud_jpegs[stamp_ns(message)] = jpeg(cloud_picture(points))
    if counts:
        recorded.points = np.array(counts).T


def _read_images(
    recorded: Recorded, reader: BagReader, topic: str, depth_camera: np.ndarray | None, *, required: bool
) -> None:
    if not topic:
        try:
            topic = busiest_camera_topic(reader)
        except BagError:
            if required:
                raise
            return
    connections = image_connections(reader, topic)
    info = first_camera_info(reader, topic, connections)
    note = lens_note(topic, info)
    recorded.notes += [note] if note else []
    wanted = {picture.stamp_ns: place for place, picture in enumerate(recorded.pictures)}
    stamps, sensor = [], SensorBits()
    total = sum(connection.msgcount for connection in connections)
    for message, _ in tqdm(read_messages(reader, connections), total=total, desc="frames", unit="image"):
        stamps.append(stamp_ns(message))
        if stamps[-1] not in wanted:
            continue
        try:
            bgr = as_bgr(decode_message(message, sensor))
        except FrameError as error:
            recorded.unreadable[f"{topic}: {error}"] += 1
            continue
        camera = _camera_matrix(info, bgr.shape[:2], topic)
        view = view_of(bgr, recorded.size_px, camera, depth_camera)
        place = wanted[stamps[-1]]
        before = recorded.pictures[place]
        shown = cv2.resize(view, PICTURE_PX, interpolation=cv2.INTER_AREA)
        recorded.pictures[place] = DepthPicture(before.stamp_ns, before.depth_jpeg, before.median_m, jpeg(shown))
    recorded.image_topic, recorded.image_stamps_ns = topic, np.array(stamps, np.int64)


def _camera_matrix(info: Any | None, shape: tuple[int, int], topic: str) -> np.ndarray | None:
    """3x3 camera matrix of images of a topic and a shape (height, width)."""
    k = frame_camera(info, shape, rectified=is_rectified(topic)).matrix
    return None if k is None else np.reshape(k, (3, 3))


def _health(reader: AnyReader) -> list[Health]:
    """Diagnostics of the node; of several nodes, those of the first one in the bag."""
    chosen = [c for c in reader.connections if c.msgtype == DIAGNOSTICS_TYPE]
    found: list[Health] = []
    name = ""
    for message, recorded_ns in read_messages(reader, chosen):
        for status in message.status:
            name = name or (status.name if status.name.endswith(": depth") else "")
            if name and status.name == name:
                values = {entry.key: entry.value for entry in status.values}
                found.append(Health(stamp_ns(message) or recorded_ns, int(status.level), status.message, values))
    return found
