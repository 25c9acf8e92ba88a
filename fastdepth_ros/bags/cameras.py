"""The camera_info of recorded frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.recording import CAMERA_INFO_TYPE, camera_info_of_images, read_messages
from fastdepth_ros.depth.camera_info import FrameCamera, StampCache, frame_camera, stamp_ns

_REACH_NS = 1_000_000_000


class Cameras:
    """Finds the camera_info of a frame among those of its window, and only where that does not do, in the whole bag.

    Args:
        connections: of the camera_info topic, perhaps none.
        near: its messages in and around the window.
        start_ns: where the window starts.
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
    """The first camera_info of the bag beside an image topic, None where there is none."""
    topic = camera_info_of_images(image_topic, connections)
    chosen = [c for c in reader.connections if c.topic == topic and c.msgtype == CAMERA_INFO_TYPE]
    return next((message for message, _ in read_messages(reader, chosen)), None)
