"""The files of a rosbag2, opened by what they hold themselves: one odd topic, profile or definition leaves the other
topics readable.

rosbags refuses a whole file for one schema or QoS profile that it does not know; so what it makes of a file's index is
made here, and what it does with the messages stays.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from struct import unpack
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import ReaderError, storage_mcap
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER = 0x01, 0x02
_FOOTER_BYTES = 37  # with the magic behind it
_NEVER = 2**63 - 1  # what rosbags calls the start of an empty file
_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


class ForeignFileError(Exception):
    """A file that is whole, and not a bag that is read; the message says what it is and what to do."""


class McapStorage(McapReader):
    """An .mcap file; its times are those of its chunks."""

    def _open(self) -> None:
        assert self.bio
        bio = self.bio
        if bio.read(8) != _MAGIC:
            raise ReaderError("it does not begin as MCAP does")
        opcode, size = unpack("<BQ", bio.read(9))
        if opcode != _HEADER:
            raise ReaderError("it has no MCAP header")
        header = bio.read(size)
        profile = header[4 : 4 + int.from_bytes(header[:4], "little")]
        if profile == b"ros1":
            raise ForeignFileError("it is ROS 1 in MCAP, which is not read; give the ROS 1 .bag that it was made of")
        self.data_start = bio.tell()
        footer_start = bio.seek(-_FOOTER_BYTES, 2)
        footer = bio.read()
        if footer[-8:] != _MAGIC or unpack("<BQ", footer[:9]) != (_FOOTER, 20):
            raise ReaderError("it does not end as MCAP does")
        summary_start = int.from_bytes(footer[9:17], "little")
        if summary_start and not self.data_start <= summary_start <= footer_start:
            raise ReaderError("its summary lies outside of it")
        self.data_end = summary_start or footer_start
        if summary_start:
            self.read_index()
        if not self.connections or not (self.chunks or self.statistics):
            self.meta_scan()
        self._count()

    def _count(self) -> None:
        """Messages and times by the chunks' own index; by the statistics where there is none."""
        counts: Counter[int] = Counter(self.statistics.channel_message_counts if self.statistics else ())
        times = (self.statistics.start_time, self.statistics.end_time + 1) if self.statistics else (_NEVER, 0)
        filled = [chunk for chunk in self.chunks if any(chunk.channel_count.values())]
        if filled:
            if self.statistics is None:
                for chunk in filled:
                    counts.update(chunk.channel_count)
            starts, ends = ([getattr(one, f"message_{end}_time") for one in filled] for end in ("start", "end"))
            times = min(starts), max(ends) + 1
        self.connections = [_named(one, counts[one.id]) for one in self.connections]
        self.metadata = _metadata(sum(counts.values()), *times)


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
                definitions[kind] = _definition(encoding, text)
        counts = dict(self.dbconn.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        columns = [row[1] for row in self.dbconn.execute("PRAGMA table_info(topics)")]
        nothing = MessageDefinition(MessageDefinitionFormat.NONE, "")
        for row in self.dbconn.execute(f"SELECT {', '.join(columns)} FROM topics ORDER BY id"):
            topic: dict[str, Any] = dict(zip(columns, row))
            kind = topic["type"]
            extra = ConnectionExtRosbag2(topic["serialization_format"], _qos(topic.get("offered_qos_profiles") or ""))
            digest = topic.get("type_description_hash") or ""
            connection = Connection(
                topic["id"], topic["name"], kind, definitions.get(kind, nothing), digest, 0, extra, self
            )
            self.connections.append(_named(connection, counts.get(topic["id"], 0)))
        first, last = next(self.dbconn.execute("SELECT min(timestamp), max(timestamp) FROM messages"))
        self.metadata = _metadata(sum(counts.values()), *((first, last + 1) if counts else (_NEVER, 0)))


STORAGES: dict[str, type[McapStorage] | type[SqliteStorage]] = {".mcap": McapStorage, ".db3": SqliteStorage}
Storage = McapStorage | SqliteStorage


def open_storage(path: Path) -> Storage:
    """Open one file of a rosbag2.

    Raises:
        ReaderError: it is no such file, or its index is damaged; so do other errors of rosbags.
    """
    if path.suffix not in STORAGES:
        raise ReaderError(f"{path.name} is neither .mcap nor .db3")
    storage = STORAGES[path.suffix](path)
    storage.open()
    return storage


def ros2_name(msgtype: str) -> str:
    """`package/msg/Name` of a type that an old bag calls `package/Name`."""
    parts = msgtype.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else msgtype


def _named(connection: Connection, count: int) -> Connection:
    return connection._replace(msgtype=ros2_name(connection.msgtype), msgcount=count)


def _metadata(count: int, start_ns: int, end_ns: int) -> ReaderMetadata:
    if not count:
        start_ns, end_ns = _NEVER, 0
    return ReaderMetadata(max(end_ns - start_ns, 0), start_ns, end_ns, count, None, None, None, None)


def _definition(encoding: str, text: str) -> MessageDefinition:
    """Message definition as rosbags has it; none for other languages, which matters only if the topic is used."""
    return MessageDefinition(_FORMATS.get(encoding, MessageDefinitionFormat.NONE), text)


def _qos(text: str) -> list[Qos]:
    """The publishers' profiles; none where they are not as rosbag2 writes them, which does not touch the messages."""
    try:
        return parse_qos(text)
    except (ReaderError, KeyError, TypeError, ValueError, AttributeError):
        return []


def _schema_definition(schema: storage_mcap.Schema | None) -> MessageDefinition:
    return _definition(schema.encoding, schema.data) if schema else _definition("", "")


def _channel_qos(metadata: bytes) -> list[Qos]:
    try:
        return _of_rosbags(metadata)
    except (ReaderError, KeyError, TypeError, ValueError, AttributeError):
        return []


_of_rosbags = storage_mcap.get_qos
storage_mcap.get_msgdef = _schema_definition  # rosbags raises KeyError over any language but ROS 2's
storage_mcap.get_qos = _channel_qos
