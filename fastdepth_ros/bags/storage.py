"""Files of a rosbag2, opened independently of metadata.yaml: sqlite3, and what both storages share."""

from __future__ import annotations

import sys
from bz2 import BZ2Decompressor
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat, Qos
from rosbags.rosbag1 import reader as rosbag1
from rosbags.rosbag2 import ReaderError, storage_mcap
from rosbags.rosbag2 import reader as rosbag2
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BYTES = 1 << 29  # of one chunk or message; a recorder's chunk has a few megabytes
_NEVER = 2**63 - 1  # start time of an empty file in rosbags
_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


class TooLargeError(ValueError):
    """Compressed data that unpack to more than MAX_BYTES, or to more than they announce."""


def bound_rosbags() -> None:
    """Have rosbags refuse data that unpack to over MAX_BYTES. Idempotent.

    rosbags takes no limit: its tables of decompressors, and its zstd, are replaced for the whole process.
    """
    storage_mcap.DECOMPRESSORS["zstd"] = lambda data, size: _unpack(zstd.ZstdDecompressor, data, size)
    storage_mcap.DECOMPRESSORS["lz4"] = lambda data, size: _unpack(LZ4FrameDecompressor, data, size)
    rosbag1.decompressors["lz4"] = lambda data: _unpack(LZ4FrameDecompressor, data)
    rosbag1.decompressors["bz2"] = lambda data: _unpack(BZ2Decompressor, data)
    messages = SimpleNamespace(decompress=lambda data: _unpack(zstd.ZstdDecompressor, data), open=zstd.open)
    rosbag2.zstd = messages  # type: ignore[assignment] # what it takes of the module


def ros2_name(msgtype: str) -> str:
    """`package/msg/Name` of a type that an old bag calls `package/Name`."""
    parts = msgtype.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else msgtype


def named(connection: Connection, count: int) -> Connection:
    """The connection with the name of its type that ROS 2 has today, and its number of messages."""
    return connection._replace(msgtype=ros2_name(connection.msgtype), msgcount=count)


def metadata_of(count: int, start_ns: int, end_ns: int) -> ReaderMetadata:
    """Times and count of a file, as rosbags has them."""
    if not count:
        start_ns, end_ns = _NEVER, 0
    return ReaderMetadata(max(end_ns - start_ns, 0), start_ns, end_ns, count, None, None, None, None)


def definition_of(language: str, text: str) -> MessageDefinition:
    """Message definition as rosbags has it; none for other languages, which matters only if the topic is used."""
    return MessageDefinition(_FORMATS.get(language, MessageDefinitionFormat.NONE), text)


def qos_of(text: str) -> list[Qos]:
    """The publishers' profiles; none where they are not as rosbag2 writes them, which does not touch the messages."""
    try:
        return parse_qos(text)
    except (ReaderError, KeyError, TypeError, ValueError, AttributeError):
        return []


class SqliteStorage(Sqlite3Reader):
    """A .db3 file of any version of rosbag2."""

    def _open(self) -> None:
        assert self.dbconn
        tables = {row[0] for row in self.dbconn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"messages", "topics"} <= tables:
            raise ReaderError(f"{self.path} has no tables of messages and topics")
        definitions: dict[str, MessageDefinition] = {}
        if "message_definitions" in tables:
            rows = "topic_type", "encoding", "encoded_message_definition"
            for kind, encoding, text in self.dbconn.execute(f"SELECT {', '.join(rows)} FROM message_definitions"):
                definitions[kind] = definition_of(encoding, text)
        counts = dict(self.dbconn.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        columns = [row[1] for row in self.dbconn.execute("PRAGMA table_info(topics)")]
        nothing = MessageDefinition(MessageDefinitionFormat.NONE, "")
        for row in self.dbconn.execute(f"SELECT {', '.join(columns)} FROM topics ORDER BY id"):
            topic: dict[str, Any] = dict(zip(columns, row))
            kind = topic["type"]
            extra = ConnectionExtRosbag2(topic["serialization_format"], qos_of(topic.get("offered_qos_profiles") or ""))
            digest = topic.get("type_description_hash") or ""
            connection = Connection(
                topic["id"], topic["name"], kind, definitions.get(kind, nothing), digest, 0, extra, self
            )
            self.connections.append(named(connection, counts.get(topic["id"], 0)))
        first, last = next(self.dbconn.execute("SELECT min(timestamp), max(timestamp) FROM messages"))
        self.metadata = metadata_of(sum(counts.values()), *((first, last + 1) if counts else (0, 0)))

    def times(self, ids: Sequence[int]) -> np.ndarray:
        """int64 recording times in nanoseconds of the connections with these ids."""
        assert self.dbconn
        marks = ",".join("?" * len(ids))
        rows = self.dbconn.execute(f"SELECT timestamp FROM messages WHERE topic_id IN ({marks})", ids)
        return np.fromiter((row[0] for row in rows), np.int64)


def _unpack(decompressor: Callable[[], Any], data: bytes, announced: int | None = None) -> bytes:
    """All frames of the data, one after the other."""
    unpacked = bytearray()
    most = MAX_BYTES if announced is None else min(announced, MAX_BYTES)
    while data:
        frame = decompressor()
        unpacked += frame.decompress(data, max_length=most + 1 - len(unpacked))
        if len(unpacked) > most:
            raise TooLargeError(f"{len(data)} bytes unpack to over {most}")
        if not frame.eof:
            raise ValueError("compressed data are cut short")
        data = frame.unused_data
    return bytes(unpacked)
