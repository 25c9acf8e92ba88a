"""Bags of many kinds, each of the same few small frames: as recorders, converters and accidents leave them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mcap.writer import IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TOPIC, KIND = "/camera/image_raw", "sensor_msgs/msg/Image"
FRAMES, START_NS, PERIOD_NS = 6, 1_700_000_000_000_000_000, 100_000_000
TIMES = [START_NS + number * PERIOD_NS for number in range(FRAMES)]
ROS2, ROS1 = get_typestore(Stores.ROS2_HUMBLE), get_typestore(Stores.ROS1_NOETIC)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:7792\nsize 5295\n"


def image(stamp_ns: int, *, types: Any = ROS2, encoding: str = "bgr8") -> Any:
    stamp = types.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    sequence = {"seq": 0} if types is ROS1 else {}
    header = types.types["std_msgs/msg/Header"](**sequence, stamp=stamp, frame_id="eye")
    pixels = np.random.default_rng(stamp_ns % 97).integers(0, 256, 36 * 48 * 3, dtype=np.uint8)
    return types.types[KIND](header, 36, 48, encoding, 0, 48 * 3, pixels)


def cdr(message: Any) -> bytes:
    return bytes(ROS2.serialize_cdr(message, KIND))


def rosbag2(
    path: Path, plugin: StoragePlugin = StoragePlugin.MCAP, *, compress: str = "", times: Sequence[int] = TIMES,
    messages: Sequence[Any] = (), version: Any = 8,
) -> Path:  # fmt: skip
    writer = Writer(path, version=version, storage_plugin=plugin)
    if compress:
        writer.set_compression(CompressionMode[compress], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(TOPIC, KIND, typestore=ROS2)
        for recorded_ns, message in zip(times, messages or [image(time) for time in times]):
            writer.write(connection, recorded_ns, ROS2.serialize_cdr(message, KIND))
    return path


def ros1(path: Path, *, compress: bool = False) -> Path:
    writer = Writer1(path)
    if compress:
        writer.set_compression(Writer1.CompressionFormat.BZ2)
    with writer:
        connection = writer.add_connection(TOPIC, KIND, typestore=ROS1)
        for time in TIMES:
            writer.write(connection, time, ROS1.serialize_ros1(image(time, types=ROS1), KIND))
    return path


def with_metadata(bag: Path, **changes: Any) -> Path:
    """Its metadata.yaml with other values, as recorders and converters have left them."""
    file = bag / "metadata.yaml"
    content = yaml.safe_load(file.read_text())
    content["rosbag2_bagfile_information"].update(changes)
    file.write_text(yaml.safe_dump(content))
    return bag


def split(folder: Path, plugin: StoragePlugin, parts: Sequence[Sequence[int]], **changes: Any) -> Path:
    """One bag of several files; its metadata say of the times and counts what the first file alone would."""
    suffix = {StoragePlugin.MCAP: ".mcap", StoragePlugin.SQLITE3: ".db3"}[plugin]
    bag = rosbag2(folder / "split", plugin, times=parts[0])
    names = [f"split{suffix}"]
    for number, times in enumerate(parts[1:], 1):
        other = rosbag2(folder / f"split_{number}", plugin, times=times)
        names.append(f"split_{number}{suffix}")
        (other / names[-1]).rename(bag / names[-1])
        (other / "metadata.yaml").unlink()
        other.rmdir()
    return with_metadata(bag, relative_file_paths=names, **changes)


def mcap(
    path: Path, *, profile: str = "ros2", beside: tuple[str, str, bytes, str] | None = None,
    qos: str = "", image_encoding: str = "cdr", times: Sequence[int] = TIMES, **options: Any,
) -> Path:  # fmt: skip
    """A single .mcap, with a topic of another kind beside the images: its type, language, definition and encoding."""
    definition, _ = ROS2.generate_msgdef(KIND, ros_version=2)
    with path.open("wb") as stream:
        writer = McapWriter(stream, **options)
        writer.start(profile)
        schema = writer.register_schema(KIND, "ros2msg", definition.encode())
        channel = writer.register_channel(TOPIC, image_encoding, schema, {"offered_qos_profiles": qos} if qos else {})
        if beside is not None:
            kind, language, text, encoding = beside
            other = writer.register_channel("/other", encoding, writer.register_schema(kind, language, text))
            writer.add_message(other, START_NS, b"\0\1\0\0" + bytes(40), START_NS)
        for time in times:
            writer.add_message(channel, time, cdr(image(time)), time)
        writer.finish()
    return path


def in_database(bag: Path, *statements: str) -> Path:
    with sqlite3.connect(next(bag.glob("*.db3"))) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return bag


def old_types(folder: Path) -> Path:
    bag = rosbag2(folder / "old", StoragePlugin.SQLITE3)
    (bag / "metadata.yaml").write_text((bag / "metadata.yaml").read_text().replace("/msg/", "/"))
    return in_database(bag, "UPDATE topics SET type = replace(type, '/msg/', '/')", "DROP TABLE message_definitions")


def broken_metadata(folder: Path) -> Path:
    bag = rosbag2(folder / "broken", StoragePlugin.SQLITE3)
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    return bag


def named_beside_broken_metadata(folder: Path) -> Path:
    bag = rosbag2(folder / "broken")
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information:\n  version: 5\n")
    return bag / "broken.mcap"


def renamed_file(folder: Path) -> Path:
    bag = rosbag2(folder / "renamed")
    return (bag / "renamed.mcap").rename(bag / "other.mcap")


def one_file_empty(folder: Path) -> Path:
    bag = split(folder, StoragePlugin.MCAP, (TIMES[:3], TIMES[3:]))
    (bag / "split_1.mcap").write_bytes(b"")
    return bag


def text_bag(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


LATE = {"starting_time": {"nanoseconds_since_epoch": START_NS + 2 * PERIOD_NS}}
NEVER = {"starting_time": {"nanoseconds_since_epoch": 0}, "duration": {"nanoseconds": -1}}
SHORT = {"duration": {"nanoseconds": PERIOD_NS}}
SERVICE = b"MSG: std_srvs/srv/SetBool_Event\nbool data\n---\nbool success\nstring message\n"
THIRDS = (TIMES[:2], TIMES[2:4], TIMES[4:])
PLUGINS = StoragePlugin
BAD = [image(time, encoding="what8" if time == TIMES[2] else "bgr8") for time in TIMES]

WHOLE: dict[str, Callable[[Path], Path]] = {
    "mcap": lambda folder: rosbag2(folder / "in"),
    "sqlite3": lambda folder: rosbag2(folder / "in", PLUGINS.SQLITE3),
    "sqlite3 of version 9": lambda folder: rosbag2(folder / "in", PLUGINS.SQLITE3, version=9),
    "ROS 1": lambda folder: ros1(folder / "in.bag"),
    "ROS 1, compressed": lambda folder: ros1(folder / "in.bag", compress=True),
    "chunks compressed": lambda folder: rosbag2(folder / "in", compress="STORAGE"),
    "messages compressed": lambda folder: rosbag2(folder / "in", PLUGINS.SQLITE3, compress="MESSAGE"),
    "file compressed": lambda folder: rosbag2(folder / "in", PLUGINS.SQLITE3, compress="FILE"),
    "split mcap": lambda folder: split(folder, PLUGINS.MCAP, THIRDS),
    "split sqlite3": lambda folder: split(folder, PLUGINS.SQLITE3, THIRDS),
    "split, overlapping": lambda folder: split(folder, PLUGINS.MCAP, (TIMES[::2], TIMES[1::2])),
    "short duration": lambda folder: with_metadata(rosbag2(folder / "in"), **SHORT),
    "late start": lambda folder: with_metadata(rosbag2(folder / "in", PLUGINS.SQLITE3), **LATE),
    "no start": lambda folder: with_metadata(rosbag2(folder / "in"), **NEVER),
    "no count": lambda folder: with_metadata(rosbag2(folder / "in"), message_count=0, topics_with_message_count=[]),
    "no file named": lambda folder: with_metadata(rosbag2(folder / "in"), relative_file_paths=[]),
    "broken metadata": broken_metadata,
    "named beside broken metadata": named_beside_broken_metadata,
    "renamed file": renamed_file,
    "old type names": old_types,
    "no definition": lambda folder: in_database(
        rosbag2(folder / "in", PLUGINS.SQLITE3),
        "UPDATE message_definitions SET encoding = 'unknown', encoded_message_definition = ''",
    ),
    "protobuf beside": lambda folder: mcap(
        folder / "in.mcap", beside=("foxglove.SceneUpdate", "protobuf", b"\x0a\x03abc", "protobuf")
    ),
    "a definition in bytes beside": lambda folder: mcap(
        folder / "in.mcap", beside=("foxglove.SceneUpdate", "protobuf", b"\x0a\xff\xfe\x80", "protobuf")
    ),
    "json beside": lambda folder: mcap(folder / "in.mcap", beside=("Odom", "jsonschema", b"{}", "json")),
    "ROS 1 beside": lambda folder: mcap(
        folder / "in.mcap", beside=("std_msgs/String", "ros1msg", b"string data", "ros1")
    ),
    "service event beside": lambda folder: mcap(
        folder / "in.mcap", beside=("std_srvs/srv/SetBool_Event", "ros2msg", SERVICE, "cdr")
    ),
    "odd IDL beside": lambda folder: mcap(
        folder / "in.mcap", beside=("my/msg/Odd", "ros2idl", b"module my { oops", "cdr")
    ),
    "odd QoS": lambda folder: mcap(folder / "in.mcap", qos="- history: 1\n  depth: 5"),
    "no profile": lambda folder: mcap(folder / "in.mcap", profile=""),
    "no chunks": lambda folder: mcap(folder / "in.mcap", use_chunking=False),
    "no chunks, not by time": lambda folder: mcap(folder / "in.mcap", use_chunking=False, times=TIMES[::-1]),
    "no index of messages": lambda folder: mcap(folder / "in.mcap", index_types=IndexType.CHUNK),
    "neither that nor statistics": lambda folder: mcap(
        folder / "in.mcap", index_types=IndexType.CHUNK, use_statistics=False
    ),
    "chunks, no summary": lambda folder: mcap(
        folder / "in.mcap", use_statistics=False, use_summary_offsets=False, repeat_channels=False,
        repeat_schemas=False, index_types=IndexType.NONE,
    ),
    "no statistics": lambda folder: mcap(folder / "in.mcap", use_statistics=False),
    "no summary": lambda folder: mcap(
        folder / "in.mcap", use_statistics=False, use_summary_offsets=False, repeat_channels=False,
        repeat_schemas=False, index_types=IndexType.NONE, use_chunking=False,
    ),
    "equal stamps": lambda folder: rosbag2(folder / "in", messages=[image(START_NS)] * FRAMES),
    "stamps of zero": lambda folder: rosbag2(folder / "in", messages=[image(0)] * FRAMES),
    "stamps backwards": lambda folder: rosbag2(folder / "in", messages=[image(time) for time in TIMES[::-1]]),
    "recorded at once": lambda folder: rosbag2(folder / "in", times=[0] * FRAMES),
}  # fmt: skip
FAULTY: dict[str, tuple[Callable[[Path], Path], str]] = {
    "images encoded otherwise": (
        lambda folder: mcap(folder / "in.mcap", image_encoding="protobuf"), "encoded as 'protobuf'"
    ),
    "ROS 1 in MCAP": (lambda folder: mcap(folder / "in.mcap", profile="ros1"), "ROS 1 in MCAP"),
    "a file empty": (one_file_empty, "split_1.mcap"),
    "a file missing": (
        lambda folder: with_metadata(rosbag2(folder / "in"), relative_file_paths=["in.mcap", "in_1.mcap"]), "in_1.mcap"
    ),
    "a pointer of LFS, mcap": (lambda folder: text_bag(folder / "in.mcap", POINTER), "Git LFS"),
    "a pointer of LFS, ROS 1": (lambda folder: text_bag(folder / "in.bag", POINTER), "Git LFS"),
    "no message": (lambda folder: rosbag2(folder / "in", times=[]), f"{TOPIC} holds no message"),
    "no frame that can be read": (
        lambda folder: rosbag2(folder / "in", messages=[image(time, encoding="what8") for time in TIMES]), "what8"
    ),
}  # fmt: skip
