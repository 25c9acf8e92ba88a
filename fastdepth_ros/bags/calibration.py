"""The factor that brings the network's depth to the truth, fitted on a recording: a depth sensor's, or a distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rosbags.highlevel import AnyReader
from tqdm import tqdm

from fastdepth_ros.bags.cameras import Cameras
from fastdepth_ros.bags.contents import of_topic, read_window
from fastdepth_ros.bags.ground_truth_sensor import Sensor
from fastdepth_ros.bags.inspect import look_into
from fastdepth_ros.bags.recording import BagError, message_from, open_bag
from fastdepth_ros.bags.request import Estimate, Request, Task
from fastdepth_ros.depth.camera_info import is_rectified, stamp_ns
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import FrameError, decode_message
from fastdepth_ros.errors import FastDepthError

QUARTILES = (25, 50, 75)
CENTER_SHARE = 0.1  # of the depth image's sides: what a known distance is of, where no region is named


@dataclass(frozen=True)
class Distance:
    """A known distance along the optical axis.

    Args:
        meters: of what the region shows.
        region: left, top, width, height in frame pixels; None is the middle tenth of the depth image.
    """

    meters: float
    region: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.meters < np.inf:
            raise FastDepthError(f"a distance of {self.meters} m makes no sense")

    def truth(self, result: DepthResult, frame_shape: tuple[int, int]) -> np.ndarray:
        """float32 HxW on the depth's grid, 0 outside of the region.

        Raises:
            FrameError: the region lies outside of the depth image, or the frame.
        """
        truth = np.zeros(result.depth.shape, np.float32)
        truth[self._rows_and_columns(result, frame_shape)] = self.meters
        if not truth.any():
            raise FrameError(f"region {self.region} lies outside of the field of view")
        return truth

    def _rows_and_columns(self, result: DepthResult, frame_shape: tuple[int, int]) -> tuple[slice, slice]:
        if self.region is None:
            edges = [(size * (1 - CENTER_SHARE) / 2, size * (1 + CENTER_SHARE) / 2) for size in result.depth.shape]
        else:
            left, top, width, height = self.region
            if min(left, top) < 0 or left + width > frame_shape[1] or top + height > frame_shape[0]:
                raise FrameError(f"region {self.region} lies outside of the {frame_shape[1]}x{frame_shape[0]} frame")
            corners = np.array([[left - 0.5, top - 0.5, 1], [left + width - 0.5, top + height - 0.5, 1]])
            (x0, y0), (x1, y1) = (corners @ result.from_frame.T)[:, :2] + 0.5
            edges = [(y0, y1), (x0, x1)]
        rows, columns = (slice(max(round(low), 0), max(round(high), 0)) for low, high in edges)
        return rows, columns


class Measured(NamedTuple):
    """One frame: every pixel that has a depth and a truth.

    Args:
        depth: (pixels,) what the network said, meters.
        truth: (pixels,) meters.
        auto: the focal scale of the frame's camera, None where it is unknown.
    """

    depth: np.ndarray
    truth: np.ndarray
    auto: float | None

    @property
    def ratios(self) -> np.ndarray:
        return self.truth / self.depth


class Measurement(NamedTuple):
    """A recording.

    Args:
        frames: that could be compared.
        unmeasured: how many could not be, by reason.
        notes: what should be known of the bag.
    """

    frames: list[Measured]
    unmeasured: dict[str, int]
    notes: tuple[str, ...]


def measure(path: Path, request: Request, distance: Distance | None) -> Measurement:
    """Compare the frames of a bag that a request selects with its truth, or with a distance.

    Args:
        request: its recipe scales depth as `focal_scale` auto does.

    Raises:
        BagError: the bag cannot be read, or lacks what the request names.
    """
    opened, estimate = look_into(path, request), request.recipe.estimator()
    measured: list[Measured] = []
    unmeasured: dict[str, int] = {}
    total = sum(len(window.kept) for window in opened.windows)
    with open_bag(path) as reader, tqdm(total=total, unit="frame", delay=0.5) as progress:
        for window in opened.windows:
            task = Task(request, opened.source, window, (), path)
            for frame in _compared(reader, task, estimate, distance):
                progress.update()
                if isinstance(frame, Measured):
                    measured.append(frame)
                else:
                    unmeasured[frame] = unmeasured.get(frame, 0) + 1
    return Measurement(measured, unmeasured, opened.notes)


def fit(measured: list[Measured]) -> dict[str, Any]:
    """The scale and its spread.

    Returns:
        scale (median over all pixels of truth over depth, each frame weighing the same), iqr (its quartiles), by_frame
        (5th, 50th and 95th percentile of the frames' own medians), frames, pixels, auto (median focal scale of the
        cameras, None where unknown).

    Raises:
        BagError: no frame was measured.
    """
    if not measured:
        raise BagError("no frame could be compared with the truth")
    by_frame = [frame.ratios for frame in measured]
    medians = [float(np.median(ratios)) for ratios in by_frame]
    weights = np.concatenate([np.full(len(ratios), 1 / len(ratios)) for ratios in by_frame])
    lower, scale, upper = _weighted_percentiles(np.concatenate(by_frame), weights, QUARTILES)
    autos = [frame.auto for frame in measured if frame.auto is not None]
    return {
        "scale": scale,
        "iqr": [lower, upper],
        "by_frame": dict(zip(("p05", "median", "p95"), np.percentile(medians, (5, 50, 95)).tolist())),
        "frames": len(measured),
        "pixels": len(weights),
        "auto": float(np.median(autos)) if autos else None,
    }


def _compared(reader: AnyReader, task: Task, estimate: Estimate, distance: Distance | None) -> Iterator[Measured | str]:
    """The frames of one window, or why they could not be measured."""
    request, source = task.request, task.source
    contents = read_window(reader, task)

    def cameras(topic: str, image_topic: str) -> Cameras:
        near, rectified = contents.beside.get(topic, ()), is_rectified(image_topic)
        return Cameras(reader, of_topic(reader, topic), near, contents.from_ns, rectified=rectified)

    of_frames = cameras(source.camera_info_topic, request.image_topic)
    bits = task.sensor()
    sensor = None
    if request.truth is not None:
        infos = cameras(source.truth_info_topic, request.truth.topic)
        sensor = Sensor(request.truth, contents.beside[request.truth.topic], infos, request.recipe.crop)
    for record in contents.records:
        message = message_from(reader, record.connection, record.raw)
        try:
            frame = decode_message(message, bits)
            stamp, shape = stamp_ns(message), frame.pixels.shape[:2]
            k = of_frames.at(stamp, shape).matrix
            result = estimate(frame, k)
            if distance is not None:
                truth = distance.truth(result, shape)
            else:
                assert sensor is not None, "neither a truth topic nor a distance"
                truth, _ = sensor.truth(stamp, result, shape, k)
        except FrameError as error:
            yield str(error)
            continue
        known = (truth > 0) & np.isfinite(result.depth)
        if known.any():
            auto = None if result.unscaled else result.focal_scale
            yield Measured(result.depth[known] / result.focal_scale, truth[known], auto)
        else:
            yield "truth and depth have no pixel in common"


def _weighted_percentiles(values: np.ndarray, weights: np.ndarray, percents: tuple[int, ...]) -> list[float]:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(share, np.array(percents) / 100)
    return values[order][np.minimum(places, len(values) - 1)].astype(float).tolist()
