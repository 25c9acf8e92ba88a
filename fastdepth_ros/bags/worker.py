"""Work on one window: recorded messages in, a part of the new bag out.

Any process of any machine may do it, any number of times: the bytes are the same, and the part appears atomically.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from rosbags.convert.converter import migrate_bytes
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.camera import CameraInfos
from fastdepth_ros.bags.ground_truth import DepthSensor
from fastdepth_ros.bags.messages import camera_info_message, image_message, points_message
from fastdepth_ros.bags.reader import TYPES, as_bag_error, message_from, of_topic, open_bag, raw_messages
from fastdepth_ros.bags.request import CAMERA_INFO, DEPTH, POINTS, Estimate, Recipe, Summary, Task
from fastdepth_ros.bags.writer import PartWriter
from fastdepth_ros.depth.camera_info import FrameCamera, is_rectified, stamp_ns
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import Frame, FrameError, decode_message
from fastdepth_ros.depth.options import DEPTH_ENCODINGS
from fastdepth_ros.depth.points import filtered_points
from fastdepth_ros.depth.undistort import Undistorter
from fastdepth_ros.jobs.pool import Work

_AROUND_NS = 50_000_000  # how far beyond a window its frames' camera_info and truth are searched


class Worker:
    """Worker that keeps the engine and the bag of its last task open for the next."""

    def __init__(self) -> None:
        self._recipe: Recipe | None = None
        self._estimate: Estimate | None = None
        self._bag: Path | None = None
        self._reader: AnyReader | None = None
        self._open = ExitStack()

    def run(self, task: Task) -> Summary:
        """Write the task's part.

        Raises:
            BagError: the bag is damaged, or the part cannot be written.
        """
        window = _Window(task, self._reader_of(task.source.path), self._estimator_of(task.request.recipe))
        with PartWriter(task.part, task.topics, zstd=task.request.zstd) as part:
            window.write(part)
            part.close(window.summary)
        return window.summary

    def close(self) -> None:
        self._open.close()
        self._bag = self._recipe = self._reader = self._estimate = None

    def _estimator_of(self, recipe: Recipe) -> Estimate:
        if self._estimate is None or recipe != self._recipe:
            self._recipe, self._estimate = recipe, recipe.estimator()
        return self._estimate

    def _reader_of(self, path: Path) -> AnyReader:
        if self._reader is None or path != self._bag:
            self._reader = None
            self._open.close()
            self._bag, self._reader = path, self._open.enter_context(open_bag(path))
        return self._reader


_OF_THIS_PROCESS = Worker()


def run_task(task: Task) -> Summary:
    """`Worker.run` in the process's own worker."""
    return _OF_THIS_PROCESS.run(task)


def end_tasks() -> None:
    """Close the engine and the bag of the process's own worker."""
    _OF_THIS_PROCESS.close()


def one_core() -> None:
    """Keep OpenCV on the core of its worker."""
    cv2.setNumThreads(1)


WINDOWS = Work(run_task, one_core, end_tasks)


class Record(NamedTuple):
    """Recorded message: a frame that gets a depth, a message that is copied, or both."""

    connection: Connection
    recorded_ns: int
    raw: bytes
    is_frame: bool


class Contents(NamedTuple):
    """Content of a window.

    Args:
        records: messages in the order of recording.
        camera_infos: camera_info of the frames.
        sensor: depth sensor; None without a truth topic.
    """

    records: list[Record]
    camera_infos: CameraInfos
    sensor: DepthSensor | None


def read_window(reader: AnyReader, task: Task) -> Contents:
    """Read a task's window, and camera_info and truth around it.

    Raises:
        BagError: the bag is damaged.
    """
    request, source, window, truth = task.request, task.source, task.window, task.request.truth
    beside: dict[str, list[Any]] = {source.camera_info_topic: [], source.truth_info_topic: []}
    beside |= {truth.topic: []} if truth else {}
    copied = {(topic.name, topic.msgtype) for topic in task.copied}
    wanted = [
        connection
        for connection in reader.connections
        if connection.topic in {request.image_topic, *beside} or (connection.topic, connection.msgtype) in copied
    ]
    around = _AROUND_NS + (round(truth.tolerance_s * 1e9) if truth else 0)
    from_ns, records = window.start_ns - around, []
    kept, frames = set(window.kept), 0
    for connection, recorded_ns, raw in raw_messages(reader, wanted, from_ns, window.stop_ns + around):
        if connection.topic in beside:
            beside[connection.topic].append(message_from(reader, connection, raw))
        if not window.start_ns <= recorded_ns < window.stop_ns:
            continue
        is_frame = connection.topic == request.image_topic and frames in kept
        frames += connection.topic == request.image_topic
        if is_frame or (connection.topic, connection.msgtype) in copied:
            records.append(Record(connection, recorded_ns, raw, is_frame))

    def infos(topic: str, image_topic: str) -> CameraInfos:
        rectified = is_rectified(image_topic)
        return CameraInfos(reader, of_topic(reader, topic), beside[topic], from_ns, rectified=rectified)

    sensor = None
    if truth is not None:
        of_truth = infos(source.truth_info_topic, truth.topic)
        sensor = DepthSensor(truth, beside[truth.topic], of_truth, request.recipe.crop)
    return Contents(records, infos(source.camera_info_topic, request.image_topic), sensor)


class _Window:
    """Depth messages and summary of one window."""

    def __init__(self, task: Task, reader: AnyReader, estimate: Estimate) -> None:
        self._task, self._reader, self._estimate = task, reader, estimate
        self._contents, self._bits = read_window(reader, task), task.sensor()
        undistorts = task.request.undistort and not is_rectified(task.request.image_topic)
        self._undistorter = Undistorter() if undistorts else None
        self.summary = Summary(bits=self._bits.bits)

    def write(self, part: PartWriter) -> None:
        copied = {(topic.name, topic.msgtype): self._task.topics.index(topic) for topic in self._task.copied}
        for record in self._contents.records:
            connection = record.connection
            number = copied.get((connection.topic, connection.msgtype))
            if number is not None:
                part.write(number, record.recorded_ns, self._as_cdr(record))
                self.summary.copied += 1
            if record.is_frame:
                message = message_from(self._reader, connection, record.raw)
                self._write_depth(part, message, record.recorded_ns)

    def _write_depth(self, part: PartWriter, message: Any, recorded_ns: int) -> None:
        self.summary.frames_in += 1
        try:
            frame = self._frame(message)
            is_blank = frame.is_blank
            stamp, frame_id = stamp_ns(message), message.header.frame_id
            camera = self._contents.camera_infos.at(stamp, frame.pixels.shape[:2])
            if self._undistorter is not None:
                frame, camera = self._undistorter(frame, camera)
            result = self._estimate(frame, camera.matrix, unknown=camera.why)
        except FrameError as error:
            _count(self.summary.dropped, str(error))
            return
        if result.unscaled:
            _count(self.summary.unscaled, result.unscaled)
        self._count_camera(camera)
        if not camera.fault:
            info = camera_info_message(stamp, frame_id, camera, result.from_frame, result.depth.shape)
            part.write(CAMERA_INFO, recorded_ns, TYPES.serialize_cdr(info, "sensor_msgs/msg/CameraInfo"))
            self.summary.camera_infos_out += 1
        encoding = self._task.request.depth_encoding
        depth = image_message(stamp, frame_id, DEPTH_ENCODINGS[encoding].encode(result.depth), encoding)
        part.write(DEPTH, recorded_ns, TYPES.serialize_cdr(depth, "sensor_msgs/msg/Image"))
        self.summary.frames_out += 1
        self.summary.no_picture += is_blank
        self._write_points(part, recorded_ns, stamp, frame_id, result, camera)
        if self._contents.sensor is not None:
            try:
                errors = self._contents.sensor.errors(stamp, result, frame.pixels.shape[:2], camera.matrix)
                self.summary.measured.append(errors)
            except FrameError as error:
                _count(self.summary.unmeasured, str(error))

    def _write_points(
        self, part: PartWriter, recorded_ns: int, stamp: int, frame_id: str, result: DepthResult, camera: FrameCamera
    ) -> None:
        options = self._task.request.points
        if options is None or camera.matrix is None:
            return
        matrix = result.from_frame @ camera.matrix.reshape(3, 3)
        points = filtered_points(result.depth, matrix, options, result.confidence)
        message = points_message(stamp, frame_id, points, not options.organized)
        part.write(POINTS, recorded_ns, TYPES.serialize_cdr(message, "sensor_msgs/msg/PointCloud2"))
        self.summary.points_out += 1

    def _frame(self, message: Any) -> Frame:
        before = self._bits.bits
        frame = decode_message(message, self._bits)
        if self._bits.bits != before:
            text = f"from {before} to {self._bits.bits} at {stamp_ns(message) / 1e9:.3f} s"
            _count(self.summary.bits_risen, text)
        return frame

    def _count_camera(self, camera: FrameCamera) -> None:
        if self._undistorter is not None and self._undistorter.problem:
            _count(self.summary.not_undistorted, self._undistorter.problem)
        if camera.fault:
            _count(self.summary.without_camera_info, camera.why)
        elif camera.note:
            _count(self.summary.mended_camera_info, camera.note)

    def _as_cdr(self, record: Record) -> bytes | memoryview:
        if self._reader.is2:
            return record.raw
        msgtype = record.connection.msgtype
        with as_bag_error(self._reader.paths[0]):
            return migrate_bytes(
                self._reader.typestore, TYPES, msgtype, msgtype, {}, record.raw, src_is2=False, dst_is2=True
            )


def _count(reasons: dict[str, int], reason: str) -> None:
    reasons[reason] = reasons.get(reason, 0) + 1
