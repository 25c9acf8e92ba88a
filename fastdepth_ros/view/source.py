"""Sources of frames (bag, video file, camera, network stream), and the depth of their frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from rosbags.interfaces import Connection

from fastdepth_ros.bags.bag_files import FILE_SUFFIXES
from fastdepth_ros.bags.camera import (
    busiest_camera_topic,
    first_camera_info,
    image_connections,
    lens_note,
    read_camera_file,
)
from fastdepth_ros.bags.reader import BagReader, open_bag, read_messages
from fastdepth_ros.depth.camera_info import frame_camera, is_rectified, stamp_ns
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import NO_PICTURE, SAMPLE_BITS, Frame, FrameError, SensorBits, decode_message
from fastdepth_ros.depth.undistort import Undistorter
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.pictures.image_files import as_bgr

USUAL_HZ = 30.0  # rate of a video that names none
LONGEST_PAUSE_S = 5.0  # between two frames of a recording, in `at_own_pace`
LEAP_NS = 3600 * 1_000_000_000  # largest step between frames: a clock was set; an mp4 holds no more


TimedFrame = tuple[int, Frame, np.ndarray | None]


@dataclass
class Source:
    """An opened source of frames.

    Args:
        frames: time in nanoseconds, frame, and camera matrix (9,) where a bag has it, in order. Unreadable frames are
            left out and counted.
        total: expected number of frames, 0 for a camera.
        live: True for a source without an end, whose frames come in real time.
        sensor: bits that 16-bit samples use.
        no_picture: number of frames of a single color.
        reasons: number of unreadable frames by reason.
        risen: notes on late frames that used more bits than all before.
        stamps_stop: number of the first frame, from 1, whose stamp did not increase or leapt; from it on, the times are
            those of the recording. 0: all stamps are good.
        of_bag: notes on the bag and the camera.
        has_camera_info: whether it is a bag with camera_info.
        ended: end of a stream, in words; "" while it runs, and for other sources.
    """

    frames: Iterator[TimedFrame]
    total: int
    live: bool
    sensor: SensorBits = field(default_factory=SensorBits)
    no_picture: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    risen: list[str] = field(default_factory=list)
    stamps_stop: int = 0
    of_bag: tuple[str, ...] = ()
    has_camera_info: bool = False
    ended: str = ""

    @property
    def unreadable(self) -> int:
        return sum(self.reasons.values())

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count frames that give no picture."""
        if count > 0:
            self.reasons[reason] = self.reasons.get(reason, 0) + count

    def notes(self) -> list[str]:
        """Notes about the source after reading."""
        of_all = f" of {self.total}" if self.total else ""
        notes = [f"{count}{of_all} frames could not be read: {reason}" for reason, count in self.reasons.items()]
        notes = [*self.of_bag, *notes, *([f"{self.no_picture} frames {NO_PICTURE}"] if self.no_picture else [])]
        if self.stamps_stop:
            notes.append(
                f"from frame {self.stamps_stop} on the times are those of the recording: its stamp is zero, not after "
                "the one before it, or over an hour after"
            )
        if self.sensor.frames:
            how = "as --bits says" if self.sensor.fixed else "as the largest samples show; --bits N fixes it"
            notes.append(f"16-bit samples: {self.sensor.bits} of {SAMPLE_BITS} bits used, {how}")
        return [*notes, *self.risen, *([self.ended] if self.ended else [])]


class _Times:
    """Times of a recording's frames: their stamps while these increase by at most an hour; after that, the differences
    of the recording's own times.

    Args:
        before_ns: the first stamp must be larger than this.
    """

    def __init__(self, source: Source, before_ns: int = 0) -> None:
        self._source, self._count = source, 0
        self._stamp, self._own, self._time = before_ns, 0, 0

    def __call__(self, stamp_ns: int, own_ns: int) -> int:
        self._count += 1
        leaps = self._count > 1 and stamp_ns - self._stamp > LEAP_NS
        if not self._source.stamps_stop and (stamp_ns <= self._stamp or leaps):
            self._source.stamps_stop = self._count
        if not self._source.stamps_stop:
            self._time = stamp_ns
        elif self._count > 1:
            self._time += min(max(own_ns - self._own, 0), LEAP_NS)
        self._stamp, self._own = stamp_ns, own_ns
        return self._time


@contextmanager
def open_source(text: str, image_topic: str = "", bits: int = 0, undistort: str | None = None) -> Iterator[Source]:
    """Open a bag (folder, .bag, .mcap, .db3), a camera (a number or /dev/video...), a video file, or an address
    (rtsp://..., http://...).

    Args:
        image_topic: topic of a bag; "" takes the image topic with the most images that are not depth.
        bits: number of bits that 16-bit samples of a bag use; 0 finds it from the frames.
        undistort: calibration file whose lens distortion is taken out of the frames; "": the camera_info of a bag that
            is not rectified; None leaves the frames as they are.

    Raises:
        FastDepthError: no such source, OpenCV cannot read it, or its frames cannot be undistorted.
        BagError: the bag cannot be read.
    """
    with _opened(text, image_topic, bits, undistort) as source:
        if undistort:
            source.frames = _undistorted(source, source.frames, read_camera_file(Path(undistort)))
        elif undistort is not None and not source.has_camera_info:
            raise FastDepthError(f"{text} has no camera_info; give the camera's calibration: --undistort YAML")
        yield source


@contextmanager
def _opened(text: str, image_topic: str, bits: int, undistort: str | None) -> Iterator[Source]:
    path = Path(text)
    if text.isdigit() or text.startswith("/dev/video"):
        with _capture(int(text) if text.isdigit() else text, f"camera {text}") as capture:
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest in the queue
            yield Source(_camera_frames(capture), 0, True)
    elif "://" in text:  # OpenCV gets the address unchanged
        with _capture(text, f"stream {text}") as capture:
            total = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
            source = Source(iter(()), total, not total)
            source.frames = _file_frames(source, capture) if total else _stream_frames(source, capture)
            yield source
    elif path.is_dir() or path.suffix in FILE_SUFFIXES:
        with open_bag(path) as reader:
            connections = image_connections(reader, image_topic or busiest_camera_topic(reader))
            total = sum(connection.msgcount for connection in connections)
            source = Source(iter(()), total, False, SensorBits(bits))
            topic = connections[0].topic
            info = first_camera_info(reader, topic, connections)
            source.has_camera_info = info is not None
            note = lens_note(topic, info) if undistort is None else ""
            source.of_bag = (*reader.notes, *([note] if note else []))
            source.frames = _bag_frames(source, reader, connections, info)
            if undistort == "" and not is_rectified(topic):
                source.frames = _undistorted(source, source.frames, info)
            yield source
    elif path.is_file():
        with _capture(text, f"video {text}") as capture:
            source = Source(iter(()), max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0), False)
            source.frames = _file_frames(source, capture)
            yield source
    else:
        raise FastDepthError(
            f"no bag, video or camera {text!r}; a camera is a number or /dev/videoN, a stream has its address: rtsp://..."
        )


@contextmanager
def _capture(name: int | str, title: str) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(name)
    try:
        if not capture.isOpened():
            raise FastDepthError(
                f"{title} cannot be opened: absent, in use, cut short, or of a kind that OpenCV cannot read"
            )
        yield capture
    finally:
        capture.release()


def _captured(capture: cv2.VideoCapture) -> Iterator[Frame]:
    while True:
        read, bgr = capture.read()
        if not read:
            return
        yield Frame(bgr, "bgr")


def _camera_frames(capture: cv2.VideoCapture) -> Iterator[TimedFrame]:
    for frame in _captured(capture):
        yield time.time_ns(), frame, None
    raise FastDepthError("the camera gives no more frames: unplugged?")


def _stream_frames(source: Source, capture: cv2.VideoCapture) -> Iterator[TimedFrame]:
    """Frames with the time of their arrival, until the stream ends."""
    count = 0
    for frame in _captured(capture):
        count += 1
        yield time.time_ns(), frame, None
    if not count:
        raise FastDepthError("the stream gives no frame that can be read")
    source.ended = f"the stream ended after {count} frames: its sender closed it, or nothing more came for 30 s"


def _file_frames(source: Source, capture: cv2.VideoCapture) -> Iterator[TimedFrame]:
    count, times = 0, _Times(source, before_ns=-1)
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    period_ns = 1e9 / (rate_hz if rate_hz > 0 else USUAL_HZ)
    for count, frame in enumerate(_captured(capture), start=1):
        stamp_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        yield times(stamp_ns, round(count * period_ns)), frame, None
    if not count:
        raise FastDepthError("the video holds no frame that can be read")
    source.leave_out("cut short or damaged", source.total - count)


def _undistorted(source: Source, frames: Iterator[TimedFrame], info: Any | None) -> Iterator[TimedFrame]:
    """Frames of a source without lens distortion, and the camera matrix that they then have.

    Raises:
        FastDepthError: their distortion cannot be taken out.
    """
    undistort, notes = Undistorter(), set[str]()
    for time_ns, frame, _ in frames:
        frame, camera = undistort(frame, frame_camera(info, frame.pixels.shape[:2]))
        if undistort.problem:
            raise FastDepthError(f"--undistort: {undistort.problem}")
        if camera.note and camera.note not in notes:
            notes.add(camera.note)
            source.of_bag = (*source.of_bag, f"camera_info: {camera.note}")
        yield time_ns, frame, camera.matrix


def _bag_frames(
    source: Source, reader: BagReader, connections: list[Connection], info: Any | None
) -> Iterator[TimedFrame]:
    rectified = is_rectified(connections[0].topic)
    times = _Times(source)
    sensor = source.sensor
    for message, recorded_ns in read_messages(reader, connections):
        before = sensor.bits
        try:
            frame = decode_message(message, sensor)
        except FrameError as error:
            source.leave_out(str(error))
            continue
        if sensor.bits != before and sensor.settled:
            source.risen.append(
                f"bits used rose from {before} to {sensor.bits} at frame {sensor.frames}: darker from there"
            )
        k = frame_camera(info, frame.pixels.shape[:2], rectified=rectified).matrix
        yield times(stamp_ns(message), recorded_ns), frame, k


class DepthFrame(NamedTuple):
    """A frame of a source with its depth.

    Args:
        stamp_ns: time of the frame, nanoseconds.
        bgr: uint8 HxWx3, the whole frame.
        view: the part of `bgr` in the field of view.
        camera: camera matrix (9,) of the frame, None where unknown.
        result: depth and stage times.
    """

    stamp_ns: int
    bgr: np.ndarray
    view: np.ndarray
    camera: np.ndarray | None
    result: DepthResult


def depth_frames(
    source: Source, frames: Iterable[TimedFrame], estimator: DepthEstimator, field: str,
    camera_of: Callable[[Frame], np.ndarray | None],
) -> Iterator[DepthFrame]:  # fmt: skip
    """Depth of frames of a source. A frame without depth is left out and counted in `source.reasons`.

    Args:
        field: field of view of the estimator.
        camera_of: camera matrix (9,) of a frame in place of the source's; None keeps the source's.
    """
    for time_ns, frame, found in frames:
        given = camera_of(frame)
        camera = found if given is None else given
        try:
            result, bgr = estimator(frame, camera), as_bgr(frame)
            crop = estimator.network.input.place(field, frame.pixels.shape[:2]).crop
        except FrameError as error:
            source.leave_out(str(error))
            continue
        source.no_picture += frame.is_blank
        view = bgr[crop.slices]
        yield DepthFrame(time_ns, bgr, view, camera, result)


def at_own_pace(frames: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
    """Frames of a recording at the pace of their times; a pause lasts at most `LONGEST_PAUSE_S`."""
    due_s, last_ns = time.monotonic(), None
    for moment in frames:
        if last_ns is not None:
            due_s += min((moment[0] - last_ns) / 1e9, LONGEST_PAUSE_S)
            time.sleep(max(due_s - time.monotonic(), 0))
        last_ns = moment[0]
        yield moment
