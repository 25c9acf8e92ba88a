"""Parts to a bag. MCAP parts are joined by moving their chunks as they are, so that no message is touched again."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from mcap.data_stream import RecordBuilder
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, ChunkIndex, DataEnd, Footer, Header, Schema, Statistics
from mcap.summary import Summary
from mcap.writer import MCAP0_MAGIC
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos
from ruamel.yaml import YAML

from fastdepth_ros.bags.parts import start_mcap
from fastdepth_ros.bags.request import Topic

_COPY_BYTES = 1 << 20
METADATA_VERSION: Final = 8


def join_as_mcap(parts: Iterable[Path], folder: Path, topics: Sequence[Topic], facts: Mapping[str, str]) -> None:
    """Write a rosbag2 folder with one .mcap file.

    Args:
        parts: .mcap files of `PartWriter`, in order.
        folder: the new bag, must not exist.
        facts: kept as the bag's custom data.

    Raises:
        OSError: it cannot be written, or a part is damaged.
    """
    folder.mkdir()
    file = folder / f"{folder.name}.mcap"
    counts: Counter[int] = Counter()
    indexes: list[ChunkIndex] = []
    with file.open("wb") as out:
        out.write(MCAP0_MAGIC + _bytes(Header("ros2", "fastdepth_ros")))
        for part in parts:
            with _part(part), part.open("rb") as stream:
                summary, statistics = _summary(stream)
                indexes += _append_chunks(out, stream, summary.chunk_indexes)
                counts.update(statistics.channel_message_counts)
        _finish(out, topics, indexes, counts)
    times = (
        min((i.message_start_time for i in indexes), default=0),
        max((i.message_end_time for i in indexes), default=0),
    )
    metadata = _metadata(file.name, topics, counts, times, facts)
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.representer.ignore_aliases = lambda _: True  # not every reader of rosbag2's knows them
    with (folder / "metadata.yaml").open("w") as text:
        yaml.dump({"rosbag2_bagfile_information": metadata}, text)


def join_as_sqlite3(parts: Iterable[Path], folder: Path, topics: Sequence[Topic], facts: Mapping[str, str]) -> None:
    """Variant of `join_as_mcap` that writes one .db3 file, message by message."""
    with Writer(folder, version=METADATA_VERSION, storage_plugin=StoragePlugin.SQLITE3) as writer:
        for key, value in facts.items():
            writer.set_custom_data(key, value)
        connections = [
            writer.add_connection(
                topic.name, topic.msgtype, msgdef=topic.definition, rihs01=topic.digest,
                offered_qos_profiles=parse_qos(topic.qos),
            )
            for topic in topics
        ]  # fmt: skip
        for part in parts:
            with _part(part), Reader(part) as reader:
                for connection, recorded_ns, data in reader.messages():
                    writer.write(connections[connection.id - 1], recorded_ns, data)


@contextmanager
def _part(path: Path) -> Iterator[None]:
    """A part that cannot be read is removed, so that the next run computes it anew."""
    try:
        yield
    except (McapError, ReaderError) as error:
        path.unlink(missing_ok=True)
        raise OSError(f"{path.name} was damaged ({error}) and is removed") from error


def _append_chunks(out: BinaryIO, part: BinaryIO, chunks: Sequence[ChunkIndex]) -> list[ChunkIndex]:
    """Copy the chunks with their message indexes, which lie one after the other; returns where they are now."""
    if not chunks:
        return []
    begin = chunks[0].chunk_start_offset
    end = chunks[-1].chunk_start_offset + chunks[-1].chunk_length + chunks[-1].message_index_length
    moved = out.tell() - begin
    part.seek(begin)
    left = end - begin
    while left:
        piece = part.read(min(left, _COPY_BYTES))
        if not piece:
            raise McapError("cut short")
        out.write(piece)
        left -= len(piece)
    return [
        replace(
            chunk,
            chunk_start_offset=chunk.chunk_start_offset + moved,
            message_index_offsets={one: offset + moved for one, offset in chunk.message_index_offsets.items()},
        )
        for chunk in chunks
    ]


def _finish(out: BinaryIO, topics: Sequence[Topic], indexes: Sequence[ChunkIndex], counts: Mapping[int, int]) -> None:
    """Everything that follows the chunks."""
    out.write(_bytes(DataEnd(0)))
    start = out.tell()
    schemas, channels = _schemas_and_channels(topics)
    statistics = Statistics(
        attachment_count=0,
        channel_count=len(channels),
        channel_message_counts=dict(counts),
        chunk_count=len(indexes),
        message_count=sum(counts.values()),
        message_end_time=max((index.message_end_time for index in indexes), default=0),
        message_start_time=min((index.message_start_time for index in indexes), default=0),
        metadata_count=0,
        schema_count=len(schemas),
    )
    out.write(_bytes(*schemas, *channels, statistics, *indexes, Footer(start, 0, 0)) + MCAP0_MAGIC)


def _schemas_and_channels(topics: Sequence[Topic]) -> tuple[list[Schema], list[Channel]]:
    """Schemas and channels as the parts have them."""
    stream = io.BytesIO()
    start_mcap(stream, topics, zstd=False).finish()
    stream.seek(0)
    summary, _ = _summary(stream)
    return list(summary.schemas.values()), list(summary.channels.values())


def _summary(stream: IO[bytes]) -> tuple[Summary, Statistics]:
    summary = make_reader(stream).get_summary()
    if summary is None or summary.statistics is None:
        raise McapError("no summary")
    return summary, summary.statistics


def _bytes(*records: Any) -> bytes:
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    return builder.end()


def _metadata(
    file: str, topics: Sequence[Topic], counts: Mapping[int, int], times: tuple[int, int], facts: Mapping[str, str]
) -> dict[str, Any]:
    span = {
        "starting_time": {"nanoseconds_since_epoch": times[0]},
        "duration": {"nanoseconds": times[1] - times[0]},
        "message_count": sum(counts.values()),
    }
    return {
        "version": METADATA_VERSION,
        "storage_identifier": "mcap",
        "relative_file_paths": [file],
        **span,
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.msgtype,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": topic.qos,
                    "type_description_hash": topic.digest,
                },
                "message_count": counts.get(number, 0),
            }
            for number, topic in enumerate(topics, 1)
        ],
        "compression_format": "",
        "compression_mode": "",
        "files": [{"path": file, **span}],
        "custom_data": dict(facts) or None,
        "ros_distro": "rosbags",
    }
