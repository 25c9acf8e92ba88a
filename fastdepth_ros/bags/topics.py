"""What one reads of a bag: the topic that is meant where nobody said, and its messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.recording import IMAGE_TYPES, BagError, message_from, raw_messages


def busiest_camera_topic(reader: AnyReader) -> str:
    """The image topic with the most images that are not depth.

    Raises:
        BagError: the bag has none.
    """
    images = [c for c in reader.connections if c.msgtype in IMAGE_TYPES and "depth" not in c.topic and c.msgcount]
    if not images:
        raise BagError(f"{reader.paths[0]} has no image topic")
    return max(images, key=lambda c: c.msgcount).topic


def read_messages(reader: AnyReader, connections: Sequence[Connection]) -> Iterator[tuple[Any, int]]:
    """Message and time of recording, in the order of recording.

    Raises:
        BagError: the bag is damaged.
    """
    for connection, recorded_ns, raw in raw_messages(reader, connections):
        yield message_from(reader, connection, raw), recorded_ns
