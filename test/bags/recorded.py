"""Small bags in every format, of the same four frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

IMAGE_TOPIC, INFO_TOPIC = "/camera/image_raw", "/camera/camera_info"
TEXT_TOPIC = "/said"
LONG_START_NS, LONG_PERIOD_NS = 1_700_000_000_000_000_000, 33_333_333
K = (130.0, 0, 80, 0, 131, 60, 0, 0, 1)
STAMPS_NS = [1_700_000_000_000_000_007 + index * 100_000_000 for index in range(4)]


def frames() -> list[np.ndarray]:
    """uint8 120x160x3 BGR each."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)
    return [cv2.resize(image, (160, 120), interpolation=cv2.INTER_CUBIC) for image in small]


def messages(
    types: Any, ros1: bool = False, distortion: Sequence[float] = (0.0,) * 5
) -> list[tuple[str, str, int, Any]]:
    """(topic, type, stamp, message) of the four frames and their camera_info."""
    made = []
    for number, (stamp, bgr) in enumerate(zip(STAMPS_NS, frames())):
        time = types.types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9))
        sequence = {"seq": number} if ros1 else {}
        header = types.types["std_msgs/msg/Header"](**sequence, stamp=time, frame_id="eye")
        image = types.types["sensor_msgs/msg/Image"](header, 120, 160, "bgr8", 0, 480, bgr.reshape(-1))
        region = types.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        k = np.array(K)
        p = np.array([130.0, 0, 80, 0, 0, 131, 60, 0, 0, 0, 1, 0])
        matrices = [np.array(distortion), k, np.eye(3).ravel(), p]
        info = types.types["sensor_msgs/msg/CameraInfo"](header, 120, 160, "plumb_bob", *matrices, 0, 0, region)
        made.append((INFO_TOPIC, "sensor_msgs/msg/CameraInfo", stamp, info))
        made.append((IMAGE_TOPIC, "sensor_msgs/msg/Image", stamp, image))
    return made


def write_rosbag2(
    path: Path, plugin: StoragePlugin, *, zstd: bool = False, distortion: Sequence[float] = (0.0,) * 5
) -> Path:
    types = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(path, version=9, storage_plugin=plugin)
    if zstd:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for topic, kind, stamp, message in messages(types, distortion=distortion):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            writer.write(connections[topic], stamp, types.serialize_cdr(message, kind))
    return path


def write_rosbag1(path: Path) -> Path:
    types = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(path) as writer:
        connections: dict[str, Any] = {}
        for topic, kind, stamp, message in messages(types, ros1=True):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            writer.write(connections[topic], stamp, types.serialize_ros1(message, kind))
    return path


def write_long(path: Path, frames_: int, *, plugin: StoragePlugin = StoragePlugin.MCAP, compress: str = "") -> Path:
    """A rosbag2 of many small frames at 30 Hz, each another, with camera_info and a topic beside them."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(path, version=8, storage_plugin=plugin)
    if compress:
        writer.set_compression(CompressionMode[compress], CompressionFormat.ZSTD)
    generator = np.random.default_rng(0)
    with writer:
        image = writer.add_connection(IMAGE_TOPIC, "sensor_msgs/msg/Image", typestore=types)
        info = writer.add_connection(INFO_TOPIC, "sensor_msgs/msg/CameraInfo", typestore=types)
        text = writer.add_connection(TEXT_TOPIC, "std_msgs/msg/String", typestore=types)
        for number in range(frames_):
            stamp = LONG_START_NS + number * LONG_PERIOD_NS
            header = types.types["std_msgs/msg/Header"](
                types.types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9)), "eye"
            )
            bgr = cv2.resize(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
            message = types.types["sensor_msgs/msg/Image"](header, 48, 64, "bgr8", 0, 192, bgr.reshape(-1))
            k = np.array([50.0 + number % 5, 0, 32, 0, 50, 24, 0, 0, 1])
            region = types.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
            camera = types.types[info.msgtype](
                header, 48, 64, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, region
            )
            said = types.types["std_msgs/msg/String"](f"frame {number}")
            for connection, one in ((image, message), (info, camera), (text, said)):  # camera_info is late
                late = LONG_PERIOD_NS // 3 * (connection is not image)
                writer.write(connection, stamp + late, types.serialize_cdr(one, connection.msgtype))
    return path


BAGS: dict[str, Callable[[Path], Path]] = {
    "mcap": lambda folder: write_rosbag2(folder / "mcap", StoragePlugin.MCAP),
    "sqlite3": lambda folder: write_rosbag2(folder / "sqlite3", StoragePlugin.SQLITE3),
    "ros1": lambda folder: write_rosbag1(folder / "old.bag"),
}
