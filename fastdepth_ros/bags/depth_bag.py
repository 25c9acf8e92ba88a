"""Depth for every frame of a bag, once, stamps kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Writer
from tqdm import tqdm

from fastdepth_ros.bags.messages import camera_info_message, frame_from_bag, image_message
from fastdepth_ros.bags.recording import (
    CAMERA_INFO_TYPE,
    TYPES,
    camera_info_beside,
    image_connections,
    messages,
    new_bag,
    open_bag,
    stamp_ns,
)
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.pairing import ByStamp

DEPTH_TOPIC = "/depth/image"
CAMERA_INFO_TOPIC = "/depth/camera_info"


@dataclass
class Summary:
    """What became of a bag: `dropped` counts, by reason, the frames that gave no depth."""

    frames_in: int = 0
    frames_out: int = 0
    camera_infos_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def write_depth_bag(
    source: Path, image_topic: str, out: Path, estimator: DepthEstimator, *, camera_info_topic: str = ""
) -> Summary:
    """Read one image topic, write `/depth/image` (32FC1 metres) and `/depth/camera_info` with the frames' stamps.

    Args:
        camera_info_topic: default: `camera_info` beside the image topic, where the bag has it.

    Raises:
        BagError: the bag cannot be read, lacks the topic, or `out` exists.
    """
    with open_bag(source) as reader:
        connections = image_connections(reader, image_topic)
        cameras = _Cameras(reader, camera_info_topic or camera_info_beside(image_topic, connections))
        sqlite3 = any(path.suffix == ".db3" for path in (source, *source.glob("*.db3")))
        with new_bag(out, sqlite3=sqlite3) as writer:
            copier = _DepthWriter(writer, estimator, cameras)
            total = sum(connection.msgcount for connection in connections)
            for message, recorded_ns in tqdm(messages(reader, connections), total=total, unit="frame"):
                copier.write(message, recorded_ns)
    return copier.summary


class _Cameras:
    """The camera_info of a bag."""

    def __init__(self, reader: AnyReader, topic: str) -> None:
        self._infos: ByStamp[Any] = ByStamp()
        chosen = [c for c in reader.connections if c.topic == topic and c.msgtype == CAMERA_INFO_TYPE]
        for message, _ in messages(reader, chosen):
            self._infos.add(stamp_ns(message), message)

    def at(self, stamp: int, shape: tuple[int, int]) -> Any | None:
        message = self._infos.at(stamp)
        return message if message is not None and (message.height, message.width) == shape else None


class _DepthWriter:
    """Writes the depth of one message after the other."""

    def __init__(self, writer: Writer, estimator: DepthEstimator, cameras: _Cameras) -> None:
        self.summary = Summary()
        self._writer, self._estimator, self._cameras = writer, estimator, cameras
        self._depth = writer.add_connection(DEPTH_TOPIC, "sensor_msgs/msg/Image", typestore=TYPES)
        self._info = writer.add_connection(CAMERA_INFO_TOPIC, CAMERA_INFO_TYPE, typestore=TYPES)

    def write(self, message: Any, recorded_ns: int) -> None:
        self.summary.frames_in += 1
        try:
            frame = frame_from_bag(message)
            result = self._estimator(frame)
        except FrameError as error:
            self.summary.dropped[str(error)] = self.summary.dropped.get(str(error), 0) + 1
            return
        stamp, frame_id = stamp_ns(message), message.header.frame_id
        camera = self._cameras.at(stamp, frame.pixels.shape[:2])
        if camera is not None:
            info = camera_info_message(stamp, frame_id, camera, result.from_frame, result.depth.shape)
            self._writer.write(self._info, recorded_ns, TYPES.serialize_cdr(info, CAMERA_INFO_TYPE))
            self.summary.camera_infos_out += 1
        depth = image_message(stamp, frame_id, result.depth, "32FC1")
        self._writer.write(self._depth, recorded_ns, TYPES.serialize_cdr(depth, "sensor_msgs/msg/Image"))
        self.summary.frames_out += 1
