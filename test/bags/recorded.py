"""Small bags in every format, of the same four frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

IMAGE_TOPIC, INFO_TOPIC = "/camera/image_raw", "/camera/camera_info"
STAMPS_NS = [1_700_000_000_000_000_007 + index * 100_000_000 for index in range(4)]


def frames() -> list[np.ndarray]:
    """uint8 120x160x3 BGR each."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)
    return [cv2.resize(image, (160, 120), interpolation=cv2.INTER_CUBIC) for image in small]


def messages(types: Any, ros1: bool = False) -> list[tuple[str, str, int, Any]]:
    """(topic, type, stamp, message) of the four frames and their camera_info."""
    made = []
    for number, (stamp, bgr) in enumerate(zip(STAMPS_NS, frames())):
        time = types.types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9))
        sequence = {"seq": number} if ros1 else {}
        header = types.types["std_msgs/msg/Header"](**sequence, stamp=time, frame_id="eye")
        image = types.types["sensor_msgs/msg/Image"](header, 120, 160, "bgr8", 0, 480, bgr.reshape(-1))
        region = types.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        k = np.array([130.0, 0, 80, 0, 131, 60, 0, 0, 1])
        p = np.array([130.0, 0, 80, 0, 0, 131, 60, 0, 0, 0, 1, 0])
        matrices = [np.zeros(5), k, np.eye(3).ravel(), p]
        info = types.types["sensor_msgs/msg/CameraInfo"](header, 120, 160, "plumb_bob", *matrices, 0, 0, region)
        made.append((INFO_TOPIC, "sensor_msgs/msg/CameraInfo", stamp, info))
        made.append((IMAGE_TOPIC, "sensor_msgs/msg/Image", stamp, image))
    return made


def write_rosbag2(path: Path, plugin: StoragePlugin) -> Path:
    types = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for topic, kind, stamp, message in messages(types):
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


BAGS: dict[str, Callable[[Path], Path]] = {
    "mcap": lambda folder: write_rosbag2(folder / "mcap", StoragePlugin.MCAP),
    "sqlite3": lambda folder: write_rosbag2(folder / "sqlite3", StoragePlugin.SQLITE3),
    "ros1": lambda folder: write_rosbag1(folder / "old.bag"),
}
