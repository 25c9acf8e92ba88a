"""Writer of new bags: one as a whole, or the parts of a run, which are joined to a split bag."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from heapq import merge
from itertools import chain
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import yaml
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos

from fastdepth_ros.bags.bag_files import METADATA, BagError
from fastdepth_ros.bags.reader import as_bag_error, open_storage
from fastdepth_ros.bags.request import Summary, Topic
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import DamagedFileError, atomic_write, replace_durably
from fastdepth_ros.jobs.job_folder import JobFolder

LOG = logging.getLogger(__name__)
METADATA_VERSION: Final = 8
FILE_BYTES = 256 << 20  # of messages in one file of a bag that is split
_MCAP_END = b"\x89MCAP0\r\n"
_Message = tuple[int, int, bytes]  # number of the topic, time of recording in nanoseconds, CDR
_Write = Callable[[int, int, bytes], None]


@contextmanager
def new_bag(path: Path, *, sqlite3: bool = False) -> Iterator[Writer]:
    """Write a rosbag2 folder, which takes its name when the block ends without an error.

    Raises:
        BagError: the folder exists.
    """
    if path.exists():
        raise BagError(f"{path} exists; choose another output or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    plugin = StoragePlugin.SQLITE3 if sqlite3 else StoragePlugin.MCAP
    try:
        with Writer(building / path.name, version=METADATA_VERSION, storage_plugin=plugin) as writer:
            yield writer
        replace_durably(building / path.name, path)
    finally:
        shutil.rmtree(building, ignore_errors=True)


class PartWriter:
    """Writer of one part: `NAME.mcap` with its messages, then `NAME.json` with the summary of its frames.

    Args:
        path: path without suffix, in an existing folder.
        topics: topics of the whole bag, so that every part numbers them alike.

    Raises:
        BagError: it cannot be written, for example because the disk is full.
    """

    def __init__(self, path: Path, topics: Sequence[Topic], *, zstd: bool) -> None:
        self._path, self._partial = path, path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        with _as_write_error(path):
            self._stream = self._partial.open("wb")
            self._writer = _start_mcap(self._stream, topics, zstd=zstd)

    def write(self, topic: int, recorded_ns: int, data: bytes | memoryview) -> None:
        """Append a message, CDR, to the topic of that number."""
        with _as_write_error(self._path):
            self._writer.add_message(topic + 1, recorded_ns, data, recorded_ns)  # type: ignore[arg-type] # any buffer

    def close(self, summary: Summary) -> None:
        with _as_write_error(self._path):
            self._writer.finish()
            self._stream.close()
            replace_durably(self._partial, self._path.with_suffix(".mcap"))
            atomic_write(self._path.with_suffix(".json"), json.dumps(asdict(summary)))

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the error that ends the block is raised already
            self._stream.close()
        self._partial.unlink(missing_ok=True)


class PartsFolder(JobFolder):
    """Folder `.OUT.parts` beside OUT, with the parts of a bag in the making; it outlives a kill.

    Args:
        out: new bag.
        job: everything that the bytes of the bag depend on, as JSON.
    """

    def __init__(self, out: Path, job: Mapping[str, Any]) -> None:
        super().__init__(out.parent / f".{out.name}.parts", job)

    def claim_parts(self) -> None:
        """`claim`; parts of an unknown job are removed.

        Raises:
            FastDepthError: another run holds the folder, or it holds the parts of another job.
        """
        parts = list(self.path.glob("*.mcap"))
        try:
            self.claim(has_results=bool(parts))
        except DamagedFileError as error:
            LOG.warning("%s; its %d parts are computed anew", error, len(parts))
            for part in parts:
                part.unlink()
            self.claim(has_results=False)

    def part(self, number: int) -> Path:
        """Path of a window's part, without suffix."""
        return self.path / f"{number:06d}"

    def done(self, number: int) -> Summary | None:
        """Summary of a window's frames, None while its part is missing. A damaged part is reported and removed."""
        part, file = (self.part(number).with_suffix(suffix) for suffix in (".mcap", ".json"))
        if not (part.exists() and file.exists()):
            return None
        damaged = file
        try:
            summary = Summary(**json.loads(file.read_text(encoding="utf-8")))
            damaged = part
            _require_end(part)
        except (TypeError, ValueError) as error:
            LOG.warning("%s is damaged (%s): that part is computed anew", damaged, error)
            file.unlink()
            return None
        return summary

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()


def join_parts(
    parts: Sequence[Iterable[Path]], folder: Path, topics: Sequence[Topic], custom_data: Mapping[str, str], *,
    sqlite3: bool = False, zstd: bool = False,
) -> None:  # fmt: skip
    """Write the messages of parts, by time, as a rosbag2 folder; above FILE_BYTES it is split into several files.

    Args:
        parts: .mcap files of `PartWriter` of each source, in order.
        folder: new bag, must not exist.
        custom_data: pairs kept in its metadata.
        zstd: compress the chunks (mcap).

    Raises:
        BagError: a part is damaged; it is removed, so that the next run computes it anew.
        OSError: the bag cannot be written.
    """
    folder.mkdir()
    suffix, storage = (".db3", "sqlite3") if sqlite3 else (".mcap", "mcap")
    start: Callable[[Path, Sequence[Topic]], AbstractContextManager[_Write]]
    start = _sqlite3_file if sqlite3 else partial(_mcap_file, zstd=zstd)
    messages = merge(*(chain.from_iterable(map(_messages, each)) for each in parts), key=lambda message: message[1])
    files: list[_File] = []
    following = next(messages, None)
    while following is not None:
        files.append(_File(f"{folder.name}_{len(files)}{suffix}"))
        with start(folder / files[-1].name, topics) as write:
            following = files[-1].fill(write, following, messages)
    if len(files) == 1:
        (folder / files[0].name).rename(folder / f"{folder.name}{suffix}")
        files[0].name = f"{folder.name}{suffix}"
    metadata = _metadata(storage, files, topics, custom_data)
    text = yaml.dump({"rosbag2_bagfile_information": metadata}, Dumper=_WithoutAliases, sort_keys=False, width=inf)
    (folder / METADATA).write_text(text, encoding="utf-8")


@dataclass
class _File:
    """One file of a new bag, and what its metadata say of it."""

    name: str
    counts: Counter[int] = field(default_factory=Counter)
    first_ns: int = 0
    last_ns: int = 0

    def fill(self, write: _Write, message: _Message, following: Iterator[_Message]) -> _Message | None:
        """Write messages until the file is full; returns the first that is left."""
        self.first_ns, size = message[1], 0
        left: _Message | None = message
        while left is not None and size < FILE_BYTES:
            topic, self.last_ns, data = left
            write(topic, self.last_ns, data)
            self.counts[topic] += 1
            size += len(data)
            left = next(following, None)
        return left

    def span(self) -> dict[str, Any]:
        return {
            "starting_time": {"nanoseconds_since_epoch": self.first_ns},
            "duration": {"nanoseconds": self.last_ns - self.first_ns},
            "message_count": self.counts.total(),
        }


class _WithoutAliases(yaml.SafeDumper):
    """Not every reader of rosbag2's metadata knows aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _messages(part: Path) -> Iterator[_Message]:
    try:
        with as_bag_error(part), closing(open_storage(part)) as storage:
            for connection, recorded_ns, data in storage.messages(storage.connections):
                yield connection.id - 1, recorded_ns, data
    except BagError as error:
        part.unlink(missing_ok=True)
        raise BagError(f"{part.name} was damaged ({error}) and is removed") from error


def _start_mcap(stream: Any, topics: Sequence[Topic], *, zstd: bool) -> McapWriter:
    """MCAP writer with the records of rosbag2, its channels numbered from 1 in the order of the topics."""
    writer = McapWriter(stream, compression=CompressionType.ZSTD if zstd else CompressionType.NONE)
    writer.start("ros2")
    schemas: dict[str, int] = {}
    for topic in topics:
        if topic.msgtype not in schemas:
            schemas[topic.msgtype] = writer.register_schema(topic.msgtype, topic.encoding, topic.definition.encode())
        writer.register_channel(topic.name, "cdr", schemas[topic.msgtype], {"offered_qos_profiles": topic.qos})
    return writer


@contextmanager
def _mcap_file(path: Path, topics: Sequence[Topic], *, zstd: bool) -> Iterator[_Write]:
    with path.open("wb") as stream:
        writer = _start_mcap(stream, topics, zstd=zstd)
        yield lambda topic, recorded_ns, data: writer.add_message(topic + 1, recorded_ns, data, recorded_ns)
        writer.finish()


@contextmanager
def _sqlite3_file(path: Path, topics: Sequence[Topic]) -> Iterator[_Write]:
    """rosbags writes a folder of its own, of which the database is kept."""
    alone = path.with_suffix("")
    with Writer(alone, version=METADATA_VERSION, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = [
            writer.add_connection(
                topic.name, topic.msgtype, msgdef=topic.definition, rihs01=topic.digest,
                offered_qos_profiles=parse_qos(topic.qos),
            )
            for topic in topics
        ]  # fmt: skip
        yield lambda topic, recorded_ns, data: writer.write(connections[topic], recorded_ns, data)
    (alone / path.name).rename(path)
    shutil.rmtree(alone)


def _metadata(
    storage: str, files: Sequence[_File], topics: Sequence[Topic], custom_data: Mapping[str, str]
) -> dict[str, Any]:
    counts = sum((file.counts for file in files), Counter[int]())
    first_ns = min((file.first_ns for file in files), default=0)
    last_ns = max((file.last_ns for file in files), default=0)
    return {
        "version": METADATA_VERSION,
        "storage_identifier": storage,
        "relative_file_paths": [file.name for file in files],
        **_File("", counts, first_ns, last_ns).span(),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.msgtype,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": topic.qos,
                    "type_description_hash": topic.digest,
                },
                "message_count": counts[number],
            }
            for number, topic in enumerate(topics)
        ],
        "compression_format": "",
        "compression_mode": "",
        "files": [{"path": file.name, **file.span()} for file in files],
        "custom_data": dict(custom_data) or None,
        "ros_distro": "rosbags",
    }


def _require_end(mcap: Path) -> None:
    """Raises ValueError for a file that does not end as MCAP does."""
    with mcap.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - len(_MCAP_END), 0))
        if size <= len(_MCAP_END) or stream.read() != _MCAP_END:
            raise FastDepthError(f"cut short at {size} bytes")


@contextmanager
def _as_write_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BagError(f"cannot write {path}: {error.strerror}") from error
