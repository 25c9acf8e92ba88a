"""A first look into a bag: which topics serve, which are copied, and how it is cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2.metadata import dump_qos_v8

from fastdepth_ros.bags.recording import (
    CAMERA_INFO_TYPE,
    TYPES,
    BagError,
    camera_info_beside,
    image_connections,
    open_bag,
)
from fastdepth_ros.bags.request import Request, Source, Topic
from fastdepth_ros.bags.sampling import used_bits
from fastdepth_ros.bags.times import recorded_times
from fastdepth_ros.bags.windows import Window, cut
from fastdepth_ros.depth.depth_image import DEPTH_TOPICS

CAMERA_INFO_TOPIC = "/depth/camera_info"


@dataclass(frozen=True)
class Opened:
    """What a bag offers.

    Args:
        files: of the bag: name, size and time of change, so that another bag in its place is noticed.
        began_ns: when its recording began.
        copied: its topics that go into the new bag.
        sqlite3: whether its storage is that.
    """

    source: Source
    files: tuple[tuple[str, int, int], ...]
    began_ns: int
    windows: tuple[Window, ...]
    copied: tuple[Topic, ...]
    sqlite3: bool


def look_into(path: Path, request: Request) -> Opened:
    """Open a bag, and say how the request applies to it.

    Raises:
        BagError: the bag cannot be read, or lacks what the request names.
    """
    files = _files(path)
    with open_bag(path) as reader:
        images = image_connections(reader, request.image_topic)
        info = request.camera_info_topic or camera_info_beside(request.image_topic, images)
        copied = _copied(reader, request.copied, {topic.name for topic in own_topics(request.depth_encoding)})
        began = reader.start_time
        size = sum(size for _, size, _ in files)
        times = recorded_times(reader, images)
        windows = cut(times, (began, reader.end_time), size, request.selection)
        bits = request.bits or used_bits(reader, images, times)
        source = Source(path.absolute(), _camera_info(reader, info), _truth_info(reader, request), bits)
    is_sqlite3 = any(Path(name).suffix == ".db3" for name, _, _ in files)
    return Opened(source, files, began, tuple(windows), copied, is_sqlite3)


def own_topics(depth_encoding: str) -> tuple[Topic, Topic]:
    """Those of `request.DEPTH` and `request.CAMERA_INFO`."""
    depth_topic = f"/depth/{DEPTH_TOPICS[depth_encoding]}"
    return _known_topic(depth_topic, "sensor_msgs/msg/Image"), _known_topic(CAMERA_INFO_TOPIC, CAMERA_INFO_TYPE)


def _files(path: Path) -> tuple[tuple[str, int, int], ...]:
    if path.suffix in (".mcap", ".db3") and (path.parent / "metadata.yaml").is_file():
        path = path.parent
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in inside if file.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _camera_info(reader: AnyReader, topic: str) -> str:
    return topic if any(c.topic == topic and c.msgtype == CAMERA_INFO_TYPE for c in reader.connections) else ""


def _truth_info(reader: AnyReader, request: Request) -> str:
    if request.truth is None:
        return ""
    truths = image_connections(reader, request.truth.topic)
    return _camera_info(reader, request.truth.camera_info_topic or camera_info_beside(request.truth.topic, truths))


def _copied(reader: AnyReader, patterns: Sequence[str], own: set[str]) -> tuple[Topic, ...]:
    others = [c for c in reader.connections if c.topic not in own]
    for pattern in patterns:
        if not any(fnmatchcase(connection.topic, pattern) for connection in others):
            listing = ", ".join(sorted({connection.topic for connection in others}))
            raise BagError(f"{reader.paths[0]} has no topic {pattern} to copy, it has {listing}")
    chosen = {
        (connection.topic, connection.msgtype): connection
        for connection in others
        if any(fnmatchcase(connection.topic, pattern) for pattern in patterns)
    }
    return tuple(_topic(reader, connection) for _, connection in sorted(chosen.items()))


def _topic(reader: AnyReader, connection: Connection) -> Topic:
    """A topic as the bag describes it; what a ROS 1 bag describes, only ROS 2's own definition can stand for."""
    if not reader.is2 or connection.msgdef.format == MessageDefinitionFormat.NONE:
        if connection.msgtype not in TYPES.fielddefs:
            raise BagError(
                f"{reader.paths[0]}: {connection.topic} is of the unknown type {connection.msgtype}, of which the bag "
                "holds no ROS 2 definition; leave the topic out of --copy"
            )
        return _known_topic(connection.topic, connection.msgtype, _qos(connection))
    encoding = "ros2msg" if connection.msgdef.format == MessageDefinitionFormat.MSG else "ros2idl"
    digest = connection.digest or reader.typestore.hash_rihs01(connection.msgtype)
    return Topic(connection.topic, connection.msgtype, connection.msgdef.data, encoding, digest, _qos(connection))


def _known_topic(name: str, msgtype: str, qos: str = "") -> Topic:
    definition, _ = TYPES.generate_msgdef(msgtype, ros_version=2)
    return Topic(name, msgtype, definition, "ros2msg", TYPES.hash_rihs01(msgtype), qos)


def _qos(connection: Connection) -> str:
    profiles = getattr(connection.ext, "offered_qos_profiles", [])
    return dump_qos_v8(profiles) if profiles else ""
