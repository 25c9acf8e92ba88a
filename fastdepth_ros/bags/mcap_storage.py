"""An .mcap file of a rosbag2, opened by what it holds: its index where that is whole, else a scan of all of it.

rosbags refuses a whole file for one schema or QoS profile that it does not know, and for an index that leaves messages
out; so the index is read here, and the messages of chunks are read by rosbags.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from heapq import merge
from io import BytesIO
from struct import unpack
from typing import BinaryIO, NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.records import Channel, Chunk, ChunkIndex, Schema, Statistics
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader, decompress

from fastdepth_ros.bags.connections import ForeignFileError, definition_of, metadata_of, named, qos_of

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
_CHUNK_INDEX, _STATISTICS = 0x08, 0x0B
_FOOTER_BYTES = 37  # with the magic behind it
_RECORD_BYTES = 9  # before the content of a record: its opcode and size
_MESSAGE_BYTES = 22  # before the data of a message: channel, sequence and two times


class _Loose(NamedTuple):
    """A message outside of any chunk, where its data lie in the file."""

    time_ns: int
    offset: int
    size: int
    channel: int


class McapStorage(McapReader):
    """An .mcap file.

    Attributes:
        scanned: the messages' times by channel, where the file had to be scanned; None where its index serves.
    """

    scanned: dict[int, list[int]] | None = None

    def _open(self) -> None:
        assert self.bio
        bio = self.bio
        if bio.read(8) != _MAGIC:
            raise ReaderError("it does not begin as MCAP does")
        opcode, size = unpack("<BQ", bio.read(_RECORD_BYTES))
        if opcode != _HEADER:
            raise ReaderError("it has no MCAP header")
        header = bio.read(size)
        profile = header[4 : 4 + int.from_bytes(header[:4], "little")]
        if profile == b"ros1":
            raise ForeignFileError("it is ROS 1 in MCAP, which is not read; give the ROS 1 .bag that it was made of")
        self.data_start = bio.tell()
        footer_start = bio.seek(-_FOOTER_BYTES, 2)
        footer = bio.read()
        if footer[-8:] != _MAGIC or unpack("<BQ", footer[:_RECORD_BYTES]) != (_FOOTER, 20):
            raise ReaderError("it does not end as MCAP does")
        summary_start = int.from_bytes(footer[9:17], "little")
        if summary_start and not self.data_start <= summary_start <= footer_start:
            raise ReaderError("its summary lies outside of it")
        self.data_end = summary_start or footer_start
        self._schemas: dict[int, Schema] = {}
        self._loose: list[_Loose] = []
        self._read_summary(bio, summary_start or footer_start, footer_start)

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """Messages as McapReader yields them, by time, those outside of chunks among them."""
        indexed = super().messages(connections, start, stop) if self.chunks else ()
        yield from merge(indexed, self._loose_messages(connections, start, stop), key=lambda record: record[1])

    def _read_summary(self, bio: BinaryIO, begin: int, end: int) -> None:
        """Connections, chunks, counts and times by the index; by a scan where the index leaves messages out."""
        statistics: Statistics | None = None
        for opcode, offset, size in _records(bio, begin, end):
            if opcode == _STATISTICS:
                statistics = Statistics.read(_content(bio, offset, size))
            elif opcode == _CHUNK_INDEX:
                self.chunks.append(_chunk_info(ChunkIndex.read(_content(bio, offset, size))))
            else:
                self._describe(bio, opcode, offset, size)
        counts: Counter[int] = Counter()
        for chunk in self.chunks:
            counts.update(chunk.channel_count)
        whole = statistics is not None and statistics.message_count == sum(counts.values())
        if statistics is None:
            whole = bool(self.chunks) and all(chunk.channel_count for chunk in self.chunks)
        if not (whole and self.connections):
            counts = self._scan(bio)
        spans = [
            (chunk.message_start_time, chunk.message_end_time)
            for chunk in self.chunks
            if any(chunk.channel_count.values())
        ]
        spans += [(self._loose[0].time_ns, self._loose[-1].time_ns)] if self._loose else []
        times = (min(first for first, _ in spans), max(last for _, last in spans) + 1) if spans else (0, 0)
        self.connections = [named(one, counts[one.id]) for one in self.connections]
        self.metadata = metadata_of(sum(counts.values()), *times)

    def _scan(self, bio: BinaryIO) -> Counter[int]:
        """Find every message; returns how many each channel has."""
        self.chunks.clear()
        self.scanned = {}
        for opcode, offset, size in _records(bio, self.data_start, self.data_end):
            if opcode == _MESSAGE:
                channel, time_ns = _message_head(bio, offset, size)
                self._loose.append(_Loose(time_ns, offset + _MESSAGE_BYTES, size - _MESSAGE_BYTES, channel))
                self.scanned.setdefault(channel, []).append(time_ns)
            elif opcode == _CHUNK:
                self._scan_chunk(Chunk.read(_content(bio, offset, size)), offset - _RECORD_BYTES, size + _RECORD_BYTES)
            else:
                self._describe(bio, opcode, offset, size)
        self._loose.sort()
        return Counter({channel: len(times) for channel, times in self.scanned.items()})

    def _scan_chunk(self, chunk: Chunk, offset: int, size: int) -> None:
        assert self.scanned is not None
        inside = BytesIO(decompress(chunk.data, chunk.compression, chunk.uncompressed_size, chunk.uncompressed_crc))
        counts, times = Counter[int](), []
        for opcode, place, length in _records(inside, 0, chunk.uncompressed_size):
            if opcode == _MESSAGE:
                channel, time_ns = _message_head(inside, place, length)
                counts[channel] += 1
                times.append(time_ns)
                self.scanned.setdefault(channel, []).append(time_ns)
            else:
                self._describe(inside, opcode, place, length)
        if times:
            info = ChunkInfo(
                min(times), max(times), offset, size, {}, 0, chunk.compression, len(chunk.data),
                chunk.uncompressed_size, dict(counts),
            )  # fmt: skip
            self.chunks.append(info)

    def _describe(self, bio: BinaryIO, opcode: int, offset: int, size: int) -> None:
        """Take a schema or a channel; any other record is none of ours."""
        if opcode == _SCHEMA:
            schema = Schema.read(_content(bio, offset, size))
            self._schemas[schema.id] = schema
        elif opcode == _CHANNEL:
            channel = Channel.read(_content(bio, offset, size))
            if all(known.id != channel.id for known in self.connections):
                self.connections.append(self._connection(channel))

    def _connection(self, channel: Channel) -> Connection:
        schema = self._schemas.get(channel.schema_id)
        name, language, text = (schema.name, schema.encoding, schema.data) if schema else ("__schemaless__", "", b"")
        definition = definition_of(language, text.decode(errors="replace"))
        extra = ConnectionExtRosbag2(channel.message_encoding, qos_of(channel.metadata.get("offered_qos_profiles", "")))
        return Connection(channel.id, channel.topic, name, definition, "", 0, extra, self)

    def _loose_messages(
        self, connections: Collection[Connection], start: int | None, stop: int | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        assert self.bio
        wanted = {connection.id: connection for connection in connections}
        first = 0 if start is None else bisect_left(self._loose, (start,))
        for time_ns, offset, size, channel in self._loose[first:]:
            if stop is not None and time_ns >= stop:
                return
            if channel in wanted:
                self.bio.seek(offset)
                yield wanted[channel], time_ns, _exactly(self.bio, size)


def _records(bio: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Opcode, offset of the content and its size of the records that lie one after the other."""
    while begin < end:
        bio.seek(begin)
        opcode, size = unpack("<BQ", _exactly(bio, _RECORD_BYTES))
        begin += _RECORD_BYTES + size
        if begin > end:
            raise ReaderError(f"a record of {size} bytes goes beyond its place")
        yield opcode, begin - size, size


def _content(bio: BinaryIO, offset: int, size: int) -> ReadDataStream:
    bio.seek(offset)
    return ReadDataStream(BytesIO(_exactly(bio, size)))


def _message_head(bio: BinaryIO, offset: int, size: int) -> tuple[int, int]:
    """Channel and time of a message."""
    if size < _MESSAGE_BYTES:
        raise ReaderError(f"a message of {size} bytes has no head")
    bio.seek(offset)
    channel, _, time_ns = unpack("<HIQ", _exactly(bio, 14))
    return channel, time_ns


def _exactly(bio: BinaryIO, size: int) -> bytes:
    data = bio.read(size)
    if len(data) < size:
        raise ReaderError("a record is cut short")
    return data


def _chunk_info(index: ChunkIndex) -> ChunkInfo:
    """Chunk info as rosbags has it; the messages of each channel are counted by the size of their index."""
    end = index.chunk_start_offset + index.chunk_length + index.message_index_length
    places = sorted((offset, channel) for channel, offset in index.message_index_offsets.items())
    ends = [*(offset for offset, _ in places[1:]), end]
    counts = {channel: (until - offset - 15) // 16 for (offset, channel), until in zip(places, ends)}
    return ChunkInfo(
        index.message_start_time, index.message_end_time, index.chunk_start_offset, index.chunk_length,
        index.message_index_offsets, index.message_index_length, index.compression, index.compressed_size,
        index.uncompressed_size, {channel: count for channel, count in counts.items() if count},
    )  # fmt: skip
