"""A bag opened by its files: times, counts and topics are those of the messages, whatever metadata.yaml says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import reader as rosbag2
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from fastdepth_ros.bags.folder import Files
from fastdepth_ros.bags.storages import Storage, open_storage

_ZSTD = b"\x28\xb5\x2f\xfd"  # how whatever is compressed so begins: a file of a bag, or a message
_IDL_BREAK = "=" * 80 + "\n"


class BagReader(AnyReader):
    """rosbags' reader of any bag, of which only the opening is ours.

    Args:
        path: that was asked for.
        files: of the bag.
        known: the types that a bag without definitions is read with.

    Attributes:
        storages: one for each file, in the order of the recording.
        connections: those whose messages are of ROS.
        foreign: topics whose messages are not, by name, and what they are.
        notes: what should be known about how the bag was opened.
    """

    def __init__(self, path: Path, files: Files, known: Typestore) -> None:
        super().__init__([path], default_typestore=known)
        self.readers = []  # rosbags' own, which would believe metadata.yaml
        self.storages: list[Any] = []
        self.foreign: dict[str, str] = {}
        self.notes = list(files.notes)
        self.files = files

    def open(self) -> None:
        self.stack = ExitStack()
        try:
            self._open_storages(self.stack)
            self._register()
        except BaseException:
            self.stack.close()
            self.stack = None
            raise

    @property
    def start_time(self) -> int:
        """Recording time of the first message in nanoseconds; 2**63 - 1 without messages."""
        return min(_times(storage)[0] for storage in self.storages)

    @property
    def end_time(self) -> int:
        """The nanosecond after the last message was recorded; 0 without any."""
        return max(_times(storage)[1] for storage in self.storages)

    @property
    def message_count(self) -> int:
        return sum(connection.msgcount for connection in self.connections)

    def messages(
        self, connections: Collection[Connection] = (), start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """Messages as from AnyReader; those of equal time come in the order of the files, in every process alike."""
        chosen = connections or self.connections
        streams = []
        for storage in self.storages:
            own = [connection for connection in chosen if connection.owner is storage]
            if own:
                streams.append(storage.messages(own, start, stop))
        for connection, recorded_ns, raw in merge(*streams, key=lambda record: record[1]):
            packed = self.is2 and raw[:4] == _ZSTD  # of CDR the first byte is 0
            yield connection, recorded_ns, rosbag2.zstd.decompress(raw) if packed else raw

    def _open_storages(self, stack: ExitStack) -> None:
        self.storages = []
        if not self.is2:
            reader = Reader1(self.paths[0])
            stack.enter_context(reader)
            self.storages = [reader]
            return
        for file in self.files.storages:
            storage = open_storage(_unpacked(file, stack))
            stack.callback(storage.close)
            self.storages.append(storage)

    def _register(self) -> None:
        """Take the types that the bag defines; one that cannot be understood is missed only by who reads its topic."""
        every = [connection for storage in self.storages for connection in storage.connections]
        self.foreign = {
            c.topic: format_ for c in every if self.is2 and (format_ := c.ext.serialization_format) != "cdr"
        }
        self.connections = [c for c in every if not self.is2 or c.ext.serialization_format == "cdr"]
        types: dict[str, Any] = {}
        for connection in {c.msgtype: c for c in self.connections}.values():
            types.update(_types_of(connection))
        if self.is2 and self.default_typestore and any(c.msgtype not in types for c in self.connections):
            types = {**self.default_typestore.fielddefs, **types}
        self.typestore = get_typestore(Stores.EMPTY)
        self.typestore.register(types)


def _unpacked(file: Path, stack: ExitStack) -> Path:
    """The file itself, or what a compressed one holds, on disk for as long as the bag is open."""
    with file.open("rb") as stream:
        if stream.read(len(_ZSTD)) != _ZSTD:
            return file
        stream.seek(0)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        unpacked = folder / file.name.removesuffix(".zstd")
        with rosbag2.zstd.open(stream, "rb") as plain, unpacked.open("wb") as out:
            shutil.copyfileobj(plain, out)
    return unpacked


def _times(storage: Storage | Reader1) -> tuple[int, int]:
    if isinstance(storage, Reader1):
        return storage.start_time, storage.end_time
    return storage.metadata.start_time, storage.metadata.end_time


def _types_of(connection: Connection) -> dict[str, Any]:
    """Types in a connection's definition; empty if rosbags cannot read its language."""
    text, form = connection.msgdef.data, connection.msgdef.format
    types: dict[str, Any] = {}
    if form == MessageDefinitionFormat.NONE:
        return types
    try:
        if form == MessageDefinitionFormat.MSG:
            types = dict(get_types_from_msg(text, connection.msgtype))
        else:
            for piece in _idl_pieces(text):
                types.update(get_types_from_idl(piece))
        get_typestore(Stores.EMPTY).register(types)
    except Exception:  # its grammar and the code that it generates fail in any way
        return {}
    return types


def _idl_pieces(text: str) -> Sequence[str]:
    """IDL of one type after the other, as rosbag2 strings them together."""
    if not text.startswith(f"{_IDL_BREAK}IDL: "):
        return [text]
    return [piece.partition("\n")[2] for piece in text.split(_IDL_BREAK)[1:]]
