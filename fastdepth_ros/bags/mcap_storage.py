"""An .mcap file of a rosbag2, read by its index, or by a scan where the index is incomplete.

rosbags refuses a whole file for one schema or QoS profile that it does not know, and for an index that leaves messages
out; so the index is read here, and the messages of chunks are read by rosbags.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from heapq import merge
from io import BytesIO
from struct import Struct, unpack
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader, decompress

from fastdepth_ros.bags.bag_files import BagError
from fastdepth_ros.bags.storage import definition_of, metadata_of, named, qos_of
from fastdepth_ros.errors import FastDepthError

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
_MESSAGE_INDEX, _CHUNK_INDEX, _STATISTICS = 0x07, 0x08, 0x0B
_FOOTER_BYTES = 37  # with the magic behind it
_RECORD_BYTES = 9  # before the content of a record: its opcode and size
_U16, _U32, _U64, _TWO_U64, _OFFSET = Struct("<H"), Struct("<I"), Struct("<Q"), Struct("<QQ"), Struct("<HQ")
_CHUNK_HEAD, _CHUNK_INDEX_HEAD = Struct("<QQQI"), Struct("<QQQQ")
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
            raise BagError(
                f"{self.path} is ROS 1 in MCAP, which is not read", "give the ROS 1 .bag that it was made of"
            )
        self.data_start = bio.tell()
        footer_start = bio.seek(-_FOOTER_BYTES, 2)
        footer = bio.read()
        if footer[-8:] != _MAGIC or unpack("<BQ", footer[:_RECORD_BYTES]) != (_FOOTER, 20):
            raise ReaderError("it does not end as MCAP does")
        summary_start = int.from_bytes(footer[9:17], "little")
        if summary_start and not self.data_start <= summary_start <= footer_start:
            raise ReaderError("its summary lies outside of it")
        self.data_end = summary_start or footer_start
        self._schemas: dict[int, tuple[str, str, bytes]] = {}  # name, language, text
        self._loose: list[_Loose] = []
        self._read_summary(bio, summary_start or footer_start, footer_start)

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """Messages as McapReader yields them, by time, those outside of chunks among them."""
        indexed = super().messages(connections, start, stop) if self.chunks else ()
        yield from merge(indexed, self._loose_messages(connections, start, stop), key=lambda record: record[1])

    def times(self, ids: Sequence[int]) -> np.ndarray:
        """int64 recording times in nanoseconds of the connections with these ids, from the index."""
        if self.scanned is not None:
            return np.array([time for one in ids for time in self.scanned.get(one, ())], np.int64)
        assert self.bio
        found = [np.empty(0, np.int64)]
        for chunk in self.chunks:
            for one in ids:
                if one not in chunk.message_index_offsets:
                    continue
                self.bio.seek(chunk.message_index_offsets[one])
                opcode, _, _, size = unpack("<BQHI", self.bio.read(15))
                if opcode != _MESSAGE_INDEX:
                    raise FastDepthError(f"no message index at {chunk.message_index_offsets[one]}")
                found.append(np.frombuffer(self.bio.read(size), "<i8")[::2])
        return np.concatenate(found)

    def _read_summary(self, bio: BinaryIO, begin: int, end: int) -> None:
        """Connections, chunks, counts and times by the index; by a scan where the index leaves messages out."""
        messages: int | None = None  # as the statistics count them
        for opcode, offset, size in _records(bio, begin, end):
            if opcode == _STATISTICS:
                (messages,) = _Fields(bio, offset, size).take(_U64)
            elif opcode == _CHUNK_INDEX:
                self.chunks.append(_chunk_info(_Fields(bio, offset, size)))
            else:
                self._describe(bio, opcode, offset, size)
        counts: Counter[int] = Counter()
        for chunk in self.chunks:
            counts.update(chunk.channel_count)
        whole = messages == sum(counts.values())
        if messages is None:
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
                self._scan_chunk(bio, offset, size)
            else:
                self._describe(bio, opcode, offset, size)
        self._loose.sort()
        return Counter({channel: len(times) for channel, times in self.scanned.items()})

    def _scan_chunk(self, bio: BinaryIO, offset: int, size: int) -> None:
        assert self.scanned is not None
        fields = _Fields(bio, offset, size)
        _, _, plain_size, crc = fields.take(_CHUNK_HEAD)
        compression = fields.text()
        packed = fields.data(_U64)
        inside = BytesIO(decompress(packed, compression, plain_size, crc))
        counts, times = Counter[int](), []
        for opcode, place, length in _records(inside, 0, plain_size):
            if opcode == _MESSAGE:
                channel, time_ns = _message_head(inside, place, length)
                counts[channel] += 1
                times.append(time_ns)
                self.scanned.setdefault(channel, []).append(time_ns)
            else:
                self._describe(inside, opcode, place, length)
        if times:
            info = ChunkInfo(
                min(times), max(times), offset - _RECORD_BYTES, size + _RECORD_BYTES, {}, 0, compression, len(packed),
                plain_size, dict(counts),
            )  # fmt: skip
            self.chunks.append(info)

    def _describe(self, bio: BinaryIO, opcode: int, offset: int, size: int) -> None:
        """Take a schema or a channel; any other record is none of ours."""
        if opcode not in (_SCHEMA, _CHANNEL):
            return
        fields = _Fields(bio, offset, size)
        (number,) = fields.take(_U16)
        if opcode == _SCHEMA:
            self._schemas[number] = fields.text(), fields.text(), fields.data()
        elif all(known.id != number for known in self.connections):
            self.connections.append(self._connection(number, fields))

    def _connection(self, channel: int, fields: _Fields) -> Connection:
        (schema,) = fields.take(_U16)
        topic, encoding, metadata = fields.text(), fields.text(), fields.texts()
        name, language, text = self._schemas.get(schema, ("__schemaless__", "", b""))
        definition = definition_of(language, text.decode(errors="replace"))
        extra = ConnectionExtRosbag2(encoding, qos_of(metadata.get("offered_qos_profiles", "")))
        return Connection(channel, topic, name, definition, "", 0, extra, self)

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


class _Fields:
    """Fields of one record, read one after the other; integers are little-endian."""

    def __init__(self, bio: BinaryIO, offset: int, size: int) -> None:
        bio.seek(offset)
        self._bio = BytesIO(_exactly(bio, size))

    def take(self, form: Struct) -> tuple[Any, ...]:
        return form.unpack(_exactly(self._bio, form.size))

    def data(self, size: Struct | None = None) -> bytes:
        """Bytes after their length, of 32 bits by default."""
        return _exactly(self._bio, self.take(size or _U32)[0])

    def text(self) -> str:
        return self.data().decode()

    def texts(self) -> dict[str, str]:
        inside = _Fields(BytesIO(block := self.data()), 0, len(block))
        found = {}
        while inside._bio.tell() < len(block):
            key = inside.text()
            found[key] = inside.text()
        return found


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


def _chunk_info(fields: _Fields) -> ChunkInfo:
    """Chunk index as rosbags has it; the messages of each channel are counted by the size of their index."""
    first_ns, last_ns, start, length = fields.take(_CHUNK_INDEX_HEAD)
    offsets = dict(_OFFSET.iter_unpack(fields.data()))
    (index_length,) = fields.take(_U64)
    compression = fields.text()
    packed_size, plain_size = fields.take(_TWO_U64)
    places = sorted((offset, channel) for channel, offset in offsets.items())
    ends = [*(offset for offset, _ in places[1:]), start + length + index_length]
    counts = {channel: (until - offset - 15) // 16 for (offset, channel), until in zip(places, ends)}
    return ChunkInfo(
        first_ns, last_ns, start, length, offsets, index_length, compression, packed_size, plain_size,
        {channel: count for channel, count in counts.items() if count},
    )  # fmt: skip
