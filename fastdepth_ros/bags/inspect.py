"""Inspection of a bag before the work: its topics, which are copied, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import numpy as np
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2.metadata import dump_qos_v8

from fastdepth_ros.bags.camera import (
    CAMERA_INFO_TYPE,
    camera_info_note,
    camera_info_of_images,
    first_message,
    image_connections,
    lens_note,
)
from fastdepth_ros.bags.reader import TYPES, BagError, BagReader, of_topic, open_bag, read_messages, recorded_times
from fastdepth_ros.bags.request import Request, Source, Topic
from fastdepth_ros.bags.windows import Window, cut
from fastdepth_ros.depth.frame import SETTLED_FRAMES, FrameError, SensorBits, decode_message
from fastdepth_ros.depth.options import DEPTH_ENCODINGS

CAMERA_INFO_TOPIC, POINTS_TOPIC = "/depth/camera_info", "/depth/points"


@dataclass(frozen=True)
class InspectedBag:
    """Content of a bag that a request concerns.

    Args:
        files: name, size and time of change of each file, so that another bag in its place is noticed.
        began_ns: start of the recording.
        copied: topics that are copied into the new bag.
        sqlite3: whether its storage is sqlite3.
        idle: reason why no frame gets a depth; "" if one does.
        notes: remarks for the user.
    """

    source: Source
    files: tuple[tuple[str, int, int], ...]
    began_ns: int
    windows: tuple[Window, ...]
    copied: tuple[Topic, ...]
    sqlite3: bool
    idle: str = ""
    notes: tuple[str, ...] = ()


def inspect_bag(path: Path, request: Request) -> InspectedBag:
    """Read from a bag what a request concerns.

    Raises:
        BagError: the bag cannot be read, or lacks what the request names.
    """
    with open_bag(path) as reader:
        files = _stats(reader.files.every)
        images = image_connections(reader, request.image_topic)
        info = request.camera_info_topic or camera_info_of_images(request.image_topic, images)
        own = {topic.name for topic in own_topics(request)}
        copied, left_out = _copied(reader, request.copied, own)
        times = recorded_times(reader, images)
        began, ended = reader.start_time, reader.end_time
        windows = cut(times, (began, ended), sum(size for _, size, _ in files), request.selection)
        bits = request.bits or _used_bits(reader, images, times)
        source = Source(path.absolute(), _camera_info(reader, info), _truth_info(reader, request), bits)
        camera = first_message(reader, of_topic(reader, source.camera_info_topic))
        lens = "" if request.undistort else lens_note(request.image_topic, camera)
        notes = (*reader.notes, *left_out, camera_info_note(reader, info), lens)
    idle = "" if any(window.kept for window in windows) else _why_idle(request, len(times), (began, ended))
    is_sqlite3 = any(".db3" in Path(name).suffixes for name, _, _ in files)
    return InspectedBag(
        source, files, began, tuple(windows), copied, is_sqlite3, idle, tuple(note for note in notes if note)
    )


def own_topics(request: Request) -> tuple[Topic, ...]:
    """Topics `request.DEPTH`, `request.CAMERA_INFO`, and `request.POINTS` where they are asked for."""
    depth_topic = f"/depth/{DEPTH_ENCODINGS[request.depth_encoding].topic}"
    points = () if request.points is None else (_known_topic(POINTS_TOPIC, "sensor_msgs/msg/PointCloud2"),)
    images = _known_topic(depth_topic, "sensor_msgs/msg/Image")
    return images, _known_topic(CAMERA_INFO_TOPIC, CAMERA_INFO_TYPE), *points


def _stats(files: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    stats = [(file.name, file.stat()) for file in sorted(files)]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _why_idle(request: Request, messages: int, recording_ns: tuple[int, int]) -> str:
    if not messages:
        return f"{request.image_topic} holds no message"
    end = "the end" if request.selection.end_s is None else f"second {request.selection.end_s:g}"
    seconds = (recording_ns[1] - recording_ns[0]) / 1e9
    return (
        f"no frame of {request.image_topic} lies between second {request.selection.start_s:g} and {end}; "
        f"the recording has {messages} in {seconds:.1f} s"
    )


def _camera_info(reader: BagReader, topic: str) -> str:
    return topic if any(c.topic == topic and c.msgtype == CAMERA_INFO_TYPE for c in reader.connections) else ""


def _truth_info(reader: BagReader, request: Request) -> str:
    if request.truth is None:
        return ""
    truths = image_connections(reader, request.truth.topic)
    return _camera_info(reader, request.truth.camera_info_topic or camera_info_of_images(request.truth.topic, truths))


def _copied(reader: BagReader, patterns: Sequence[str], own: set[str]) -> tuple[tuple[Topic, ...], list[str]]:
    """The topics that are copied, and of each that a pattern matches and that cannot be, why.

    Raises:
        BagError: a pattern matches nothing, or a topic that is named cannot be copied.
    """
    connections = {(c.topic, c.msgtype): c for c in reader.connections if c.topic not in own}
    others = {topic for topic, _ in connections} | set(reader.foreign)
    for pattern in patterns:
        if not any(fnmatchcase(topic, pattern) for topic in others):
            raise BagError(f"{reader.paths[0]} has no topic {pattern} to copy, it has {', '.join(sorted(others))}")
    faults = {
        topic: f"{topic} is encoded as {encoding!r}, which a rosbag2 cannot hold beside cdr"
        for topic, encoding in reader.foreign.items()
    }
    topics: list[Topic] = []
    for (name, _), connection in sorted(connections.items()):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            try:
                topics.append(_topic(reader, connection))
            except BagError as error:
                faults[name] = str(error)
    for topic in sorted(set(patterns) & set(faults)):
        raise BagError(f"{reader.paths[0]}: {faults[topic]}; leave the topic out of --copy")
    matched = (topic for topic in sorted(faults) if any(fnmatchcase(topic, pattern) for pattern in patterns))
    return tuple(topics), [f"not copied: {faults[topic]}" for topic in matched]


def _topic(reader: BagReader, connection: Connection) -> Topic:
    """A topic as the bag describes it; what a ROS 1 bag describes, only ROS 2's own definition can stand for.

    Raises:
        BagError: neither the bag nor ROS 2 defines its type.
    """
    if not reader.is2 or connection.msgdef.format == MessageDefinitionFormat.NONE:
        if connection.msgtype not in TYPES.fielddefs:
            raise BagError(
                f"{connection.topic} is of the unknown type {connection.msgtype}, of which the bag holds no ROS 2 "
                "definition"
            )
        return _known_topic(connection.topic, connection.msgtype, _qos(connection))
    if not connection.digest and connection.msgtype not in reader.typestore.fielddefs:
        raise BagError(
            f"{connection.topic} is of type {connection.msgtype}, whose definition in the bag cannot be understood"
        )
    encoding = "ros2msg" if connection.msgdef.format == MessageDefinitionFormat.MSG else "ros2idl"
    digest = connection.digest or reader.typestore.hash_rihs01(connection.msgtype)
    return Topic(connection.topic, connection.msgtype, connection.msgdef.data, encoding, digest, _qos(connection))


def _known_topic(name: str, msgtype: str, qos: str = "") -> Topic:
    definition, _ = TYPES.generate_msgdef(msgtype, ros_version=2)
    return Topic(name, msgtype, definition, "ros2msg", TYPES.hash_rihs01(msgtype), qos)


def _qos(connection: Connection) -> str:
    profiles = getattr(connection.ext, "offered_qos_profiles", [])
    return dump_qos_v8(profiles) if profiles else ""


def _used_bits(reader: BagReader, images: Sequence[Connection], times: np.ndarray) -> int:
    """The bits that 16-bit samples use, in frames spread evenly over the topic; 0 where no sample has 16 bits.

    Args:
        times: stamps of the topic's messages, in nanoseconds, ascending.
    """
    sensor = SensorBits()
    chosen = np.linspace(0, max(len(times) - 1, 0), min(SETTLED_FRAMES, len(times))).round().astype(int)
    for time_ns in np.unique(times[chosen]).tolist():
        try:
            for message, _ in islice(read_messages(reader, images, time_ns, time_ns + 1), SETTLED_FRAMES):
                decode_message(message, sensor)
        except (BagError, FrameError):
            continue  # reported by the task of its window
    return sensor.bits
