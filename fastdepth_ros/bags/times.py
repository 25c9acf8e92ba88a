"""Recording times of a topic's messages, from the bag's index, without reading the messages."""

from __future__ import annotations

from collections.abc import Sequence
from struct import unpack
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Reader1

from fastdepth_ros.bags.reader import BagReader
from fastdepth_ros.bags.recording import REMEDY, BagError, told
from fastdepth_ros.bags.storages import SqliteStorage
from fastdepth_ros.errors import FastDepthError

_MESSAGE_INDEX = 0x07  # opcode of the MCAP record: channel u16, bytes u32, then (time u64, offset u64) each


def recorded_times(reader: BagReader, connections: Sequence[Connection]) -> np.ndarray:
    """int64 nanoseconds, ascending, one for each message of one topic.

    Raises:
        BagError: the index is damaged, or does not hold as many messages as the bag says it has.
    """
    with told(reader.paths[0]):
        parts = [
            _storage_times(storage, own)
            for storage in reader.storages
            if (own := [connection for connection in connections if connection.owner is storage])
        ]
    times = np.sort(np.concatenate([np.empty(0, np.int64), *parts]))
    expected = sum(connection.msgcount for connection in connections)
    if len(times) != expected:
        raise BagError(
            f"{reader.paths[0]} is damaged: {connections[0].topic} should have {expected} messages, "
            f"its index knows {len(times)}; {REMEDY}"
        )
    return times


def _storage_times(storage: Any, connections: Sequence[Connection]) -> np.ndarray:
    """Recording times in a ROS 1 Reader, a McapStorage or a SqliteStorage, from the index in their attributes."""
    ids = [connection.id for connection in connections]
    if isinstance(storage, Reader1):
        return np.array([entry.time for one in ids for entry in storage.indexes[one]], np.int64)
    if isinstance(storage, SqliteStorage):
        marks = ",".join("?" * len(ids))
        database: Any = storage.dbconn
        rows = database.execute(f"SELECT timestamp FROM messages WHERE topic_id IN ({marks})", ids)
        return np.fromiter((row[0] for row in rows), np.int64)
    if storage.scanned is not None:  # its index leaves messages out
        return np.array([time for one in ids for time in storage.scanned.get(one, ())], np.int64)
    return _mcap_times(storage, ids)


def _mcap_times(storage: Any, ids: Sequence[int]) -> np.ndarray:
    found = [np.empty(0, np.int64)]
    for chunk in storage.chunks:
        for one in ids:
            if one not in chunk.message_index_offsets:
                continue
            storage.bio.seek(chunk.message_index_offsets[one])
            opcode, _, _, size = unpack("<BQHI", storage.bio.read(15))
            if opcode != _MESSAGE_INDEX:
                raise FastDepthError(f"no message index at {chunk.message_index_offsets[one]}")
            found.append(np.frombuffer(storage.bio.read(size), "<i8")[::2])
    return np.concatenate(found)
