"""When the messages of a topic were recorded: from the bag's index, without reading the messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import unpack
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from fastdepth_ros.bags.recording import REMEDY, BagError, told

_MESSAGE_INDEX = 0x07  # opcode of the MCAP record: channel u16, bytes u32, then (time u64, offset u64) each


def recorded_times(reader: AnyReader, connections: Sequence[Connection]) -> np.ndarray:
    """int64 nanoseconds, ascending, one for each message of one topic.

    Raises:
        BagError: the index is damaged, or does not hold as many messages as the bag says it has.
    """
    with told(reader.paths[0]):
        parts = [_storage_times(storage, connections[0].topic) for storage in _storages(reader)]
    times = np.sort(np.concatenate([np.empty(0, np.int64), *parts]))
    expected = sum(connection.msgcount for connection in connections)
    if len(times) != expected:
        raise BagError(
            f"{reader.paths[0]} is damaged: {connections[0].topic} should have {expected} messages, "
            f"its index knows {len(times)}; {REMEDY}"
        )
    return times


def _storages(reader: AnyReader) -> Iterator[Any]:
    """A ROS 1 Reader, an McapReader or a Sqlite3Reader for each file; their attributes hold what the index says."""
    for one in reader.readers:
        storage = one if isinstance(one, Reader1) else one.storage
        if isinstance(storage, DirectoryReader):
            yield from storage.storages
        else:
            yield storage


def _storage_times(storage: Any, topic: str) -> np.ndarray:
    connections = [connection for connection in storage.connections if connection.topic == topic]
    ids = [connection.id for connection in connections]
    if isinstance(storage, Reader1):
        return np.array([entry.time for one in ids for entry in storage.indexes[one]], np.int64)
    if isinstance(storage, Sqlite3Reader):
        marks = ",".join("?" * len(ids))
        database: Any = storage.dbconn
        rows = database.execute(f"SELECT timestamp FROM messages WHERE topic_id IN ({marks})", ids)
        return np.fromiter((row[0] for row in rows), np.int64)
    if storage.chunks:
        return _mcap_times(storage, ids)
    return np.array([time for _, time, _ in storage.messages(connections)], np.int64)  # written without chunks


def _mcap_times(storage: Any, ids: Sequence[int]) -> np.ndarray:
    found = [np.empty(0, np.int64)]
    for chunk in storage.chunks:
        for one in ids:
            if one not in chunk.message_index_offsets:
                continue
            storage.bio.seek(chunk.message_index_offsets[one])
            opcode, _, _, size = unpack("<BQHI", storage.bio.read(15))
            if opcode != _MESSAGE_INDEX:
                raise ValueError(f"no message index at {chunk.message_index_offsets[one]}")
            found.append(np.frombuffer(storage.bio.read(size), "<i8")[::2])
    return np.concatenate(found)
