"""Where frames come from: a bag, a video file, or a camera of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.cameras import first_camera_info
from fastdepth_ros.bags.messages import frame_from_bag
from fastdepth_ros.bags.recording import busiest_camera_topic, image_connections, open_bag, read_messages, stamp_ns
from fastdepth_ros.depth.camera_matrix import is_rectified, matrix_of
from fastdepth_ros.depth.frame import Frame, FrameError

BAG_SUFFIXES = (".bag", ".mcap", ".db3")


Moment = tuple[int, Frame, np.ndarray | None]


class SourceError(Exception):
    """A source that cannot be read; the message says why and what to do."""


@dataclass
class Source:
    """An opened source of frames.

    Args:
        frames: stamp in nanoseconds, frame and, where a bag tells it, camera matrix (9,), in order; what cannot be
            read is left out and counted in `unreadable`.
        total: how many frames there should be, 0 for a camera.
        live: frames come when they come, and there is no end.
        unreadable: how many frames could not be read.
    """

    frames: Iterator[Moment]
    total: int
    live: bool
    unreadable: int = 0


@contextmanager
def open_source(text: str, image_topic: str = "") -> Iterator[Source]:
    """Open a bag (folder, .bag, .mcap, .db3), a camera (a number or /dev/video...), or a video file.

    Args:
        image_topic: of a bag; "" takes the image topic with the most images that are not depth.

    Raises:
        SourceError: there is no such thing, or OpenCV cannot read it.
        BagError: a bag that cannot be read.
    """
    path = Path(text)
    if text.isdigit() or text.startswith("/dev/video"):
        with _capture(int(text) if text.isdigit() else text, f"camera {text}") as capture:
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest that waits
            yield Source(_camera_frames(capture), 0, True)
    elif path.is_dir() or path.suffix in BAG_SUFFIXES:
        with open_bag(path) as reader:
            connections = image_connections(reader, image_topic or busiest_camera_topic(reader))
            source = Source(iter(()), sum(connection.msgcount for connection in connections), False)
            source.frames = _bag_frames(source, reader, connections)
            yield source
    elif path.is_file():
        with _capture(text, f"video {text}") as capture:
            source = Source(iter(()), max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0), False)
            source.frames = _file_frames(source, capture)
            yield source
    else:
        raise SourceError(f"no bag, video or camera {text!r}; a camera is a number or /dev/videoN")


@contextmanager
def _capture(name: int | str, told: str) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(name)
    try:
        if not capture.isOpened():
            raise SourceError(
                f"{told} cannot be opened: absent, in use, cut short, or of a kind that OpenCV cannot read"
            )
        yield capture
    finally:
        capture.release()


def _camera_frames(capture: cv2.VideoCapture) -> Iterator[Moment]:
    while True:
        read, bgr = capture.read()
        if not read:
            raise SourceError("the camera gives no more frames: unplugged?")
        yield time.time_ns(), Frame(bgr, "bgr"), None


def _file_frames(source: Source, capture: cv2.VideoCapture) -> Iterator[Moment]:
    count = 0
    while True:
        read, bgr = capture.read()
        if not read:
            break
        count += 1
        yield round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6), Frame(bgr, "bgr"), None
    if not count:
        raise SourceError("the video holds no frame that can be read")
    source.unreadable = max(source.total - count, 0)


def _bag_frames(source: Source, reader: AnyReader, connections: list[Connection]) -> Iterator[Moment]:
    topic = connections[0].topic
    info = first_camera_info(reader, topic, connections)
    k = matrix_of(info, rectified=is_rectified(topic))
    for message, _ in read_messages(reader, connections):
        try:
            frame = frame_from_bag(message)
        except FrameError:
            source.unreadable += 1
            continue
        fits = info is not None and (info.height, info.width) == frame.pixels.shape[:2]
        yield stamp_ns(message), frame, k if fits else None
