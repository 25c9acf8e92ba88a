"""The messages of one window, read in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.recording import message_from, raw_messages
from fastdepth_ros.bags.request import Task

_AROUND_NS = 50_000_000  # how far beyond a window its frames' camera_info and truth are looked for


class Record(NamedTuple):
    """A message as it was recorded: a frame that gets a depth, or one that is copied to the new bag, or both."""

    connection: Connection
    recorded_ns: int
    raw: bytes
    is_frame: bool


@dataclass
class Contents:
    """Content of a window.

    Args:
        from_ns: where the reading began, before the window.
        records: in the order of recording.
        beside: messages of the topics that belong to the frames (camera_info, truth), in and around the window.
    """

    from_ns: int
    records: list[Record] = field(default_factory=list)
    beside: dict[str, list[Any]] = field(default_factory=dict)


def read_window(reader: AnyReader, task: Task) -> Contents:
    """Read a task's window.

    Raises:
        BagError: the bag is damaged.
    """
    request, source, window, truth = task.request, task.source, task.window, task.request.truth
    beside = {source.camera_info_topic, source.truth_info_topic, truth.topic if truth else ""} - {""}
    copied = {(topic.name, topic.msgtype) for topic in task.copied}
    wanted = [
        connection
        for connection in reader.connections
        if connection.topic in {request.image_topic, *beside} or (connection.topic, connection.msgtype) in copied
    ]
    around = _AROUND_NS + (round(truth.tolerance_s * 1e9) if truth else 0)
    contents = Contents(window.start_ns - around, beside={topic: [] for topic in beside})
    kept, frames = set(window.kept), 0
    for connection, recorded_ns, raw in raw_messages(reader, wanted, contents.from_ns, window.stop_ns + around):
        if connection.topic in beside:
            contents.beside[connection.topic].append(message_from(reader, connection, raw))
        if not window.start_ns <= recorded_ns < window.stop_ns:
            continue
        is_frame = connection.topic == request.image_topic and frames in kept
        frames += connection.topic == request.image_topic
        if is_frame or (connection.topic, connection.msgtype) in copied:
            contents.records.append(Record(connection, recorded_ns, raw, is_frame))
    return contents


def of_topic(reader: AnyReader, topic: str) -> list[Connection]:
    return [connection for connection in reader.connections if connection.topic == topic]
