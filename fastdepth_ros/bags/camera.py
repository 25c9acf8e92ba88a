"""Camera of a recording: its image topics, the camera_info of each frame, notes on its lens, and calibration files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.reader import BagError, BagReader, of_topic, read_messages
from fastdepth_ros.depth.camera_info import (
    FrameCamera,
    StampCache,
    camera_info_beside,
    frame_camera,
    is_distorted,
    is_fisheye,
    is_rectified,
    stamp_ns,
)
from fastdepth_ros.errors import FastDepthError

IMAGE_TYPES = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
_REACH_NS = 1_000_000_000
_MATRICES = {  # field of camera_info -> key of the file, how many numbers; None: any
    "k": ("camera_matrix", 9), "d": ("distortion_coefficients", None), "r": ("rectification_matrix", 9),
    "p": ("projection_matrix", 12),
}  # fmt: skip


def image_connections(reader: BagReader, topic: str) -> list[Connection]:
    """Connections of one image topic.

    Raises:
        BagError: the bag has no such topic, or it holds no images; lists the image topics that it has.
    """
    if topic in reader.foreign:
        raise BagError(f"{reader.paths[0]}: {topic} is encoded as {reader.foreign[topic]!r}, which is not read; cdr is")
    chosen = of_topic(reader, topic)
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


def camera_info_of_images(image_topic: str, connections: Sequence[Connection]) -> str:
    """`camera_info_beside` the image topic of these connections."""
    return camera_info_beside(image_topic, all(IMAGE_TYPES[one.msgtype] == "compressed" for one in connections))


class CameraInfos:
    """Finder of the camera_info of a frame: in its window, or else in the whole bag.

    Args:
        connections: connections of the camera_info topic; may be empty.
        near: messages of the topic in and around the window.
        start_ns: start of the window.
        rectified: the frames are rectified.
    """

    def __init__(
        self,
        reader: AnyReader,
        connections: Sequence[Connection],
        near: Iterable[Any],
        start_ns: int,
        *,
        rectified: bool,
    ) -> None:
        self._reader, self._connections, self._rectified = reader, connections, rectified
        self._infos: StampCache[Any] = StampCache()
        self._add(near)
        self._further = [(start_ns - _REACH_NS, start_ns), (None, None)] if connections else []

    def at(self, stamp: int, shape: tuple[int, int]) -> FrameCamera:
        """Camera of a frame of this stamp and shape (height, width): by the camera_info of that stamp, else the newest
        before it, else the first of the bag."""
        message = self._infos.at(stamp)
        while self._further and (message is None or stamp_ns(message) > stamp):
            self._read(*self._further.pop(0))
            message = self._infos.at(stamp)
        return frame_camera(message, shape, rectified=self._rectified)

    def _read(self, start_ns: int | None, stop_ns: int | None) -> None:
        messages = read_messages(self._reader, self._connections, start_ns, stop_ns)
        self._add(message for message, _ in messages)

    def _add(self, messages: Iterable[Any]) -> None:
        for message in messages:
            self._infos.add(stamp_ns(message), message)


def first_camera_info(reader: AnyReader, image_topic: str, connections: Sequence[Connection]) -> Any | None:
    """First camera_info of an image topic; None without any."""
    topic = camera_info_of_images(image_topic, connections)
    chosen = [c for c in reader.connections if c.topic == topic and c.msgtype == CAMERA_INFO_TYPE]
    return first_message(reader, chosen)


def lens_note(image_topic: str, info: Any | None) -> str:
    """Remark that the lens distorts the frames, with the remedy; "" if it does not, or if that is unknown."""
    if info is None or is_rectified(image_topic) or not is_distorted(info):
        return ""
    model = info.distortion_model
    lens = f"a fisheye lens ({model})" if is_fisheye(info) else f"a lens that distorts ({model or 'of no named model'})"
    return (
        f"{image_topic} is of {lens}, the network learned from frames without distortion: depth toward the edges "
        "is off; take the distortion out with --undistort, or rectify the frames with image_proc"
    )


def depth_lens_note(info: Any | None) -> str:
    """Variant of `lens_note` for the camera_info of depth, which does not say whether the frames were rectified."""
    note = lens_note("the depth", info)
    return f"{note}; if they were, all is well" if note else ""


def camera_info_note(reader: AnyReader, wanted: str) -> str:
    """Remark that a topic has no camera_info, and where the bag has some; "" if it has."""
    counts: dict[str, int] = {}
    for connection in reader.connections:
        if connection.msgtype == CAMERA_INFO_TYPE:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
    if counts.get(wanted):
        return ""
    others = sorted(topic for topic, count in counts.items() if count)
    if not others:
        return f"no camera_info on {wanted}, nor on any other topic"
    return f"no camera_info on {wanted}; the bag has {', '.join(others)}: give the camera's as --camera-info-topic"


def first_message(reader: AnyReader, connections: Sequence[Connection]) -> Any | None:
    """The first message of a topic; None without any."""
    return next((message for message, _ in read_messages(reader, connections)), None)


def read_camera_file(path: Path) -> SimpleNamespace:
    """Fields of a sensor_msgs/CameraInfo by a calibration file of camera_calibration or camera_info_manager (YAML):
    height, width, distortion_model, k, d, r, p.

    Raises:
        FastDepthError: the file cannot be read, or is no calibration.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        fields = {name: [float(one) for one in content[key]["data"]] for name, (key, _) in _MATRICES.items()}
        size = {"height": int(content["image_height"]), "width": int(content["image_width"])}
        model = str(content["distortion_model"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FastDepthError(f"{path} cannot be read as a calibration: {' '.join(str(error).split())}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FastDepthError(f"{path} is no calibration as camera_calibration writes it: {error!r}") from error
    for name, (key, count) in _MATRICES.items():
        if count and len(fields[name]) != count:
            raise FastDepthError(f"{path}: {key} has {len(fields[name])} numbers, it needs {count}")
    return SimpleNamespace(**size, distortion_model=model, **fields)
