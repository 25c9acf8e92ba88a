"""The files of a rosbag2, opened by what they hold themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from fastdepth_ros.bags.connections import definition_of, metadata_of, named, qos_of
from fastdepth_ros.bags.mcap_storage import McapStorage


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
    try:
        storage.open()
    except ReaderError as error:  # of several files, one
        raise ReaderError(f"{path.name}: {error}") from error
    return storage
