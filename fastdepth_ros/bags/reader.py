"""Reader of bags by the `rosbags` library: rosbag2 (mcap, sqlite3) and ROS 1."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from errno import EINVAL
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag1 import ReaderError as ReaderError1
from rosbags.rosbag2 import ReaderError as ReaderError2
from rosbags.rosbag2 import reader as rosbag2
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from fastdepth_ros.artifact.lfs_pointer import POINTER_WORDS, is_pointer
from fastdepth_ros.bags.bag_files import BagError, Files, files_of
from fastdepth_ros.bags.mcap_storage import McapStorage
from fastdepth_ros.bags.storage import SqliteStorage, bound_rosbags

bound_rosbags()

REMEDY = "`mcap recover`, `ros2 bag reindex` or `rosbag reindex` may rescue what is whole"
TYPES = get_typestore(Stores.ROS2_HUMBLE)  # of what we write; its message definitions hold to this day
_TYPES1 = get_typestore(Stores.ROS1_NOETIC)
_ZSTD = b"\x28\xb5\x2f\xfd"  # magic of a compressed file or message
_IDL_BREAK = "=" * 80 + "\n"
Storage = McapStorage | SqliteStorage
STORAGES: dict[str, type[Storage]] = {".mcap": McapStorage, ".db3": SqliteStorage}


class BagReader(AnyReader):
    """AnyReader that opens the files of a bag by their content: times, counts and topics are those of the messages.

    Args:
        path: bag that was asked for.
        files: files of the bag.
        known: types for bags without definitions.

    Attributes:
        storages: one per file, in the order of the recording.
        connections: connections with ROS messages.
        foreign: encodings of the other topics, by topic.
        notes: remarks for the user on how the bag was opened.
    """

    def __init__(self, path: Path, files: Files, known: Typestore) -> None:
        super().__init__([path], default_typestore=known)
        self.readers = []  # those of rosbags, which rely on metadata.yaml
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


@contextmanager
def open_bag(path: Path) -> Iterator[BagReader]:
    """Open a rosbag2 folder, a single .mcap or .db3 file in one, or a ROS 1 .bag.

    Raises:
        BagError: missing, cut short, or not a bag.
    """
    if not path.exists():
        raise BagError(f"no bag at {path}")
    files = files_of(path)
    for file in files.storages:
        if is_pointer(file):
            raise BagError(f"{file} {POINTER_WORDS}")
    with as_bag_error(path):
        reader = BagReader(path, files, TYPES)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


def open_storage(path: Path) -> Storage:
    """Open one file of a rosbag2.

    Raises:
        ReaderError2: it is no such file, or its index is damaged; so do other errors of rosbags.
    """
    if path.suffix not in STORAGES:
        raise ReaderError2(f"{path.name} is neither .mcap nor .db3")
    storage = STORAGES[path.suffix](path)
    try:
        storage.open()
    except ReaderError2 as error:  # of several files, one
        raise ReaderError2(f"{path.name}: {error}") from error
    return storage


@contextmanager
def as_bag_error(path: Any) -> Iterator[None]:
    """Raise errors of rosbags as BagError. Wrap calls into rosbags only."""
    try:
        yield
    except BagError:
        raise
    except OSError as error:
        if error.errno != EINVAL:  # EINVAL: a record points to before the file
            raise
        raise BagError(f"{path} is damaged: {error}; {REMEDY}") from error
    except (AnyReaderError, ReaderError1, ReaderError2) as error:
        raise BagError(f"{path} cannot be read as a bag (cut short or not one?): {error}; {REMEDY}") from error
    except Exception as error:  # where a record ends early or a byte is wrong, any kind comes through
        raise BagError(f"{path} is damaged: {type(error).__name__} {error}; {REMEDY}") from error


def raw_messages(
    reader: AnyReader, connections: Sequence[Connection], start_ns: int | None = None, stop_ns: int | None = None
) -> Iterator[tuple[Connection, int, bytes]]:
    """Connection, time of recording and bytes, in the order of recording; none for no connection.

    Args:
        start_ns, stop_ns: only what was recorded from `start_ns` on and before `stop_ns`.

    Raises:
        BagError: the bag is damaged.
    """
    if not connections:
        return
    records = reader.messages(connections, start_ns, stop_ns)
    while True:
        with as_bag_error(reader.paths[0]):
            record = next(records, None)
        if record is None:
            return
        yield record


def message_from(reader: AnyReader, connection: Connection, raw: bytes) -> Any:
    """Deserialize bytes of `raw_messages`. For ROS's own types, definitions in the bag are ignored.

    Raises:
        BagError: the bytes are not of the connection's type.
    """
    with as_bag_error(reader.paths[0]):
        if connection.msgtype not in TYPES.fielddefs:
            return reader.deserialize(raw, connection.msgtype)
        if reader.is2:
            return TYPES.deserialize_cdr(raw, connection.msgtype)
        return _TYPES1.deserialize_ros1(raw, connection.msgtype)


def read_messages(
    reader: AnyReader, connections: Sequence[Connection], start_ns: int | None = None, stop_ns: int | None = None
) -> Iterator[tuple[Any, int]]:
    """Variant of `raw_messages` that yields message and recording time."""
    for connection, recorded_ns, raw in raw_messages(reader, connections, start_ns, stop_ns):
        yield message_from(reader, connection, raw), recorded_ns


def of_topic(reader: AnyReader, topic: str) -> list[Connection]:
    """Connections of a topic; a split bag has one per file."""
    return [connection for connection in reader.connections if connection.topic == topic]


def recorded_times(reader: BagReader, connections: Sequence[Connection]) -> np.ndarray:
    """int64 nanoseconds, ascending, one for each message of one topic.

    Raises:
        BagError: the index is damaged, or does not hold as many messages as the bag says it has.
    """
    with as_bag_error(reader.paths[0]):
        parts = [
            _times_in(storage, own)
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


def _times_in(storage: Storage | Reader1, connections: Sequence[Connection]) -> np.ndarray:
    ids = [connection.id for connection in connections]
    if isinstance(storage, Reader1):
        return np.array([entry.time for one in ids for entry in storage.indexes[one]], np.int64)
    return storage.times(ids)


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
