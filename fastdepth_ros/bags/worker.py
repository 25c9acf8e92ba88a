"""The work of one window: messages in, a part of the new bag out. Any process of any machine may do it, any number of
times: it computes the same bytes, and its part appears whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
from rosbags.convert.converter import migrate_bytes
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.cameras import Cameras, matrix_of
from fastdepth_ros.bags.messages import camera_info_message, frame_from_bag, image_message
from fastdepth_ros.bags.parts import PartWriter
from fastdepth_ros.bags.recording import TYPES, message_from, open_bag, raw_messages, stamp_ns, told
from fastdepth_ros.bags.request import Estimate, Recipe, Task
from fastdepth_ros.bags.summary import Summary
from fastdepth_ros.bags.truth import NearestTruth, only_within, registered, truth_depth, truth_errors, truth_pixels
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import Frame, FrameError

DEPTH, CAMERA_INFO = 0, 1  # the first two topics of a new bag
_AROUND_NS = 50_000_000  # how far beyond a window its frames' camera_info and truth are looked for


class Worker:
    """Keeps the engine and the bag of its last task open for the next."""

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
            self._open.close()
            self._bag, self._reader = path, self._open.enter_context(open_bag(path))
        return self._reader


_OF_THIS_PROCESS = Worker()


def run_task(task: Task) -> Summary:
    """`Worker.run` in the process's own worker."""
    return _OF_THIS_PROCESS.run(task)


def end_tasks() -> None:
    """Close what the process's own worker keeps open."""
    _OF_THIS_PROCESS.close()


def one_core() -> None:
    """OpenCV stays on the core of its worker."""
    cv2.setNumThreads(1)


class _Window:
    """The messages of one window, and what becomes of them."""

    def __init__(self, task: Task, reader: AnyReader, estimate: Estimate) -> None:
        self.summary = Summary()
        self._task, self._reader, self._estimate = task, reader, estimate
        request, source, window = task.request, task.source, task.window
        truth = request.truth
        copied = {
            (topic.name, topic.msgtype): number for number, topic in enumerate(task.topics) if number > CAMERA_INFO
        }
        images = _of_topic(reader, request.image_topic)
        infos = _of_topic(reader, source.camera_info_topic)
        truths = _of_topic(reader, truth.topic if truth else "")
        truth_infos = _of_topic(reader, source.truth_info_topic)
        others = [c for c in reader.connections if (c.topic, c.msgtype) in copied]

        around = _AROUND_NS + (round(truth.tolerance_s * 1e9) if truth else 0)
        wanted = _without_twins([*images, *infos, *truths, *truth_infos, *others])
        near: dict[str, list[Any]] = {topic: [] for topic in _topics([*infos, *truths, *truth_infos])}
        self._records: list[tuple[Connection, int, bytes, bool]] = []  # of the new bag, or a frame
        kept, frames = set(window.kept), 0
        for connection, recorded_ns, raw in raw_messages(
            reader, wanted, window.start_ns - around, window.stop_ns + around
        ):
            if connection.topic in near:
                near[connection.topic].append(message_from(reader, connection, raw))
            if not window.start_ns <= recorded_ns < window.stop_ns:
                continue
            is_frame = connection.topic == request.image_topic
            frames += is_frame
            is_frame = is_frame and frames - 1 in kept
            if is_frame or (connection.topic, connection.msgtype) in copied:
                self._records.append((connection, recorded_ns, raw, is_frame))
        start = window.start_ns - around
        self._copied = copied
        self._cameras = Cameras(reader, infos, near.get(source.camera_info_topic, ()), start)
        self._truth_cameras = Cameras(reader, truth_infos, near.get(source.truth_info_topic, ()), start)
        self._truths = NearestTruth(near[truth.topic], truth.tolerance_s) if truth and truths else None

    def write(self, part: PartWriter) -> None:
        for connection, recorded_ns, raw, is_frame in self._records:
            number = self._copied.get((connection.topic, connection.msgtype))
            if number is not None:
                part.write(number, recorded_ns, self._as_cdr(connection, raw))
                self.summary.copied += 1
            if is_frame:
                self._write_depth(part, message_from(self._reader, connection, raw), recorded_ns)

    def _write_depth(self, part: PartWriter, message: Any, recorded_ns: int) -> None:
        self.summary.frames_in += 1
        try:
            frame = frame_from_bag(message)
            result = self._estimate(frame)
        except FrameError as error:
            _count(self.summary.dropped, error)
            return
        stamp, frame_id = stamp_ns(message), message.header.frame_id
        camera = self._cameras.at(stamp, frame.pixels.shape[:2])
        if camera is not None:
            info = camera_info_message(stamp, frame_id, camera, result.from_frame, result.depth.shape)
            part.write(CAMERA_INFO, recorded_ns, TYPES.serialize_cdr(info, "sensor_msgs/msg/CameraInfo"))
            self.summary.camera_infos_out += 1
        depth = image_message(stamp, frame_id, result.depth, "32FC1")
        part.write(DEPTH, recorded_ns, TYPES.serialize_cdr(depth, "sensor_msgs/msg/Image"))
        self.summary.frames_out += 1
        if self._truths is not None:
            self._measure(self._truths, frame, result, stamp, matrix_of(camera))

    def _measure(
        self, truths: NearestTruth, frame: Frame, result: DepthResult, stamp: int, frame_k: Any | None
    ) -> None:
        try:
            message = truths.at(stamp)
            truth = truth_depth(message)
            truth_k = matrix_of(self._truth_cameras.at(stamp_ns(message), truth.shape))
            frame_shape = frame.pixels.shape[:2]
            to_truth = truth_pixels(result.from_frame, frame_shape, frame_k, truth.shape, truth_k)
            truth = registered(truth, to_truth, result.depth.shape)
            crop = self._task.request.recipe.crop(*frame_shape)
            if crop is not None:
                truth = only_within(truth, crop)
            row = truth_errors(result.depth, truth)
        except FrameError as error:
            _count(self.summary.unmeasured, error)
            return
        self.summary.measured.append({"stamp_ns": stamp, "truth_stamp_ns": stamp_ns(message), **row})

    def _as_cdr(self, connection: Connection, raw: bytes) -> bytes | memoryview:
        if self._reader.is2:
            return raw
        with told(self._reader.paths[0]):
            return migrate_bytes(
                self._reader.typestore, TYPES, connection.msgtype, connection.msgtype, {}, raw,
                src_is2=False, dst_is2=True,
            )  # fmt: skip


def _count(reasons: dict[str, int], error: FrameError) -> None:
    reasons[str(error)] = reasons.get(str(error), 0) + 1


def _of_topic(reader: AnyReader, topic: str) -> list[Connection]:
    return [connection for connection in reader.connections if topic and connection.topic == topic]


def _topics(connections: Sequence[Connection]) -> set[str]:
    return {connection.topic for connection in connections}


def _without_twins(connections: Sequence[Connection]) -> list[Connection]:
    return list({id(connection): connection for connection in connections}.values())
