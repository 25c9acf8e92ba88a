"""Bags that unpack to more than a recorder writes are refused, and cost no such memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from recorded import IMAGE_TOPIC
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fastdepth_ros.bags import storage
from fastdepth_ros.bags.camera import image_connections
from fastdepth_ros.bags.reader import BagError, as_bag_error, message_from, open_bag, raw_messages

SIDE = 4096  # 16 MB of zeros, a few kilobytes packed
IMAGE = "sensor_msgs/msg/Image"


def packed_in_message(path: Path, plugin: StoragePlugin) -> Path:
    types = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(path, version=8, storage_plugin=plugin)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(IMAGE_TOPIC, IMAGE, typestore=types)
        writer.write(connection, 1, types.serialize_cdr(zeros(types), IMAGE))
    return path


def packed_in_mcap(path: Path, kind: CompressionType) -> Path:
    types = get_typestore(Stores.ROS2_HUMBLE)
    definition, _ = types.generate_msgdef(IMAGE, ros_version=2)
    with path.open("wb") as stream:
        writer = McapWriter(stream, compression=kind)
        writer.start("ros2")
        schema = writer.register_schema(IMAGE, "ros2msg", definition.encode())
        channel = writer.register_channel(IMAGE_TOPIC, "cdr", schema)
        writer.add_message(channel, 1, bytes(types.serialize_cdr(zeros(types), IMAGE)), 1)
        writer.finish()
    return path


def packed_in_ros1(path: Path, kind: Writer1.CompressionFormat) -> Path:
    types = get_typestore(Stores.ROS1_NOETIC)
    writer = Writer1(path)
    writer.set_compression(kind)
    with writer:
        connection = writer.add_connection(IMAGE_TOPIC, IMAGE, typestore=types)
        writer.write(connection, 1, types.serialize_ros1(zeros(types, seq=0), IMAGE))
    return path


def zeros(types, **sequence):
    header = types.types["std_msgs/msg/Header"](
        **sequence, stamp=types.types["builtin_interfaces/msg/Time"](1, 0), frame_id="eye"
    )
    return types.types[IMAGE](header, SIDE, SIDE, "mono8", 0, SIDE, np.zeros(SIDE * SIDE, np.uint8))


BOMBS: dict[str, Callable[[Path], Path]] = {
    "message, sqlite3": lambda folder: packed_in_message(folder / "bomb", StoragePlugin.SQLITE3),
    "message, mcap": lambda folder: packed_in_message(folder / "bomb", StoragePlugin.MCAP),
    "chunk, zstd": lambda folder: packed_in_mcap(folder / "bomb.mcap", CompressionType.ZSTD),
    "chunk, lz4": lambda folder: packed_in_mcap(folder / "bomb.mcap", CompressionType.LZ4),
    "ROS 1, lz4": lambda folder: packed_in_ros1(folder / "bomb.bag", Writer1.CompressionFormat.LZ4),
    "ROS 1, bz2": lambda folder: packed_in_ros1(folder / "bomb.bag", Writer1.CompressionFormat.BZ2),
}


def read_all(bag: Path) -> int:
    with open_bag(bag) as reader:
        records = list(raw_messages(reader, image_connections(reader, IMAGE_TOPIC)))
        return sum(message_from(reader, connection, raw).height for connection, _, raw in records)


@pytest.mark.parametrize("kind", BOMBS)
def test_what_unpacks_too_far_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, kind):
    bag = BOMBS[kind](tmp_path)
    assert read_all(bag) == SIDE
    monkeypatch.setattr(storage, "MAX_BYTES", 1 << 20)
    tracemalloc.start()
    with pytest.raises(BagError, match=f"unpack to over {1 << 20}"):
        read_all(bag)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < SIDE * SIDE // 2


def test_a_chunk_that_unpacks_to_more_than_it_announces_is_refused(tmp_path):
    bag = BOMBS["chunk, zstd"](tmp_path)
    with open_bag(bag) as reader:
        (chunk,) = reader.storages[0].chunks
    announced, whole = chunk.uncompressed_size.to_bytes(8, "little"), bag.read_bytes()
    assert whole.count(announced) == 2  # in the chunk and in its index
    bag.write_bytes(whole.replace(announced, (1 << 16).to_bytes(8, "little")))
    with pytest.raises(BagError, match="unpack to over"):
        read_all(bag)


def test_a_bag_that_defines_images_otherwise_is_not_believed(tmp_path):
    with (tmp_path / "odd.mcap").open("wb") as stream:
        writer = McapWriter(stream)
        writer.start("ros2")
        schema = writer.register_schema(IMAGE, "ros2msg", b"string height\nstring data")
        channel = writer.register_channel(IMAGE_TOPIC, "cdr", schema)
        writer.add_message(channel, 1, b"\0\1\0\0" + b"\1\0\0\0\0\0\0\0" * 2, 1)
        writer.finish()
    with pytest.raises(BagError, match="damaged"):
        read_all(tmp_path / "odd.mcap")


def test_a_record_that_points_before_the_file_is_damage_of_a_named_file(tmp_path):
    (tmp_path / "in.mcap").touch()
    stream = (tmp_path / "in.mcap").open("rb")
    with stream, pytest.raises(BagError, match=r"in\.mcap is damaged"), as_bag_error(tmp_path / "in.mcap"):
        stream.seek(-1)
