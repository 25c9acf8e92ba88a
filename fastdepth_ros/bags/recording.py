"""Bags by the `rosbags` library: rosbag2 (mcap, sqlite3) and ROS 1 to read, rosbag2 to write."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag1 import ReaderError as ReaderError1
from rosbags.rosbag2 import ReaderError as ReaderError2
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fastdepth_ros.artifact.lfs_pointer import POINTER_WORDS, is_pointer
from fastdepth_ros.bags.bounded import bound_rosbags
from fastdepth_ros.bags.connections import ForeignFileError
from fastdepth_ros.bags.folder import NotABagError, files_of
from fastdepth_ros.bags.reader import BagReader
from fastdepth_ros.depth.camera_info import camera_info_beside
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import replace_durably

bound_rosbags()

IMAGE_TYPES = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
REMEDY = "`mcap recover`, `ros2 bag reindex` or `rosbag reindex` may rescue what is whole"
TYPES = get_typestore(Stores.ROS2_HUMBLE)  # of what we write; its message definitions hold to this day
_TYPES1 = get_typestore(Stores.ROS1_NOETIC)


class BagError(FastDepthError):
    """A bag that cannot be read or written; the message says why and what to do."""


@contextmanager
def open_bag(path: Path) -> Iterator[BagReader]:
    """Open a rosbag2 folder, a single .mcap or .db3 file in one, or a ROS 1 .bag.

    Raises:
        BagError: missing, cut short, or not a bag.
    """
    if not path.exists():
        raise BagError(f"no bag at {path}")
    try:
        files = files_of(path)
    except NotABagError as error:
        raise BagError(str(error)) from error
    for file in files.storages:
        if is_pointer(file):
            raise BagError(f"{file} {POINTER_WORDS}")
    with told(path):
        reader = BagReader(path, files, TYPES)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


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
        with told(reader.paths[0]):
            record = next(records, None)
        if record is None:
            return
        yield record


def message_from(reader: AnyReader, connection: Connection, raw: bytes) -> Any:
    """The message in the bytes of `raw_messages`; a bag that defines ROS's own types otherwise is not believed.

    Raises:
        BagError: the bytes are not of the connection's type.
    """
    with told(reader.paths[0]):
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


@contextmanager
def told(path: Any) -> Iterator[None]:
    """Turn what rosbags raises over a bad file into a BagError; wrap nothing but calls into rosbags."""
    try:
        yield
    except OSError as error:
        if error.errno != EINVAL:  # that one: a record points to before the file
            raise
        raise BagError(f"{path} is damaged: {error}; {REMEDY}") from error
    except ForeignFileError as error:
        raise BagError(f"{path}: {error}") from error
    except (AnyReaderError, ReaderError1, ReaderError2) as error:
        raise BagError(f"{path} cannot be read as a bag (cut short or not one?): {error}; {REMEDY}") from error
    except Exception as error:  # where a record ends early or a byte is wrong, any kind comes through
        raise BagError(f"{path} is damaged: {type(error).__name__} {error}; {REMEDY}") from error


def camera_info_of_images(image_topic: str, connections: Sequence[Connection]) -> str:
    """`camera_info_beside` the image topic of these connections."""
    return camera_info_beside(image_topic, all(IMAGE_TYPES[one.msgtype] == "compressed" for one in connections))


def image_connections(reader: BagReader, topic: str) -> list[Connection]:
    """Connections of one image topic.

    Raises:
        BagError: the bag has no such topic, or it holds no images; lists the image topics that it has.
    """
    if topic in reader.foreign:
        raise BagError(f"{reader.paths[0]}: {topic} is encoded as {reader.foreign[topic]!r}, which is not read; cdr is")
    chosen = [connection for connection in reader.connections if connection.topic == topic]
    if chosen and all(connection.msgtype in IMAGE_TYPES for connection in chosen):
        return chosen
    images = sorted({c.topic for c in reader.connections if c.msgtype in IMAGE_TYPES})
    listing = f"its image topics are {', '.join(images)}" if images else "it has no image topic"
    if chosen:
        raise BagError(f"{topic} is of type {chosen[0].msgtype}, not an image; {listing}")
    raise BagError(f"the bag has no topic {topic}; {listing}")


def busiest_camera_topic(reader: AnyReader) -> str:
    """The image topic with the most images that are not depth.

    Raises:
        BagError: the bag has none.
    """
    counts: Counter[str] = Counter()
    for connection in reader.connections:  # of a split bag, one for each file
        if connection.msgtype in IMAGE_TYPES and "depth" not in connection.topic and connection.msgcount:
            counts[connection.topic] += connection.msgcount
    if not counts:
        raise BagError(f"{reader.paths[0]} has no image topic")
    return counts.most_common(1)[0][0]


@contextmanager
def new_bag(path: Path, *, sqlite3: bool = False) -> Iterator[Writer]:
    """Write a rosbag2 folder, whole or not at all: it takes its name when the block ends without an error.

    Raises:
        BagError: the folder exists.
    """
    if path.exists():
        raise BagError(f"{path} exists; choose another output or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    plugin = StoragePlugin.SQLITE3 if sqlite3 else StoragePlugin.MCAP
    try:
        with Writer(building / path.name, version=8, storage_plugin=plugin) as writer:
            yield writer
        replace_durably(building / path.name, path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
