"""Recorded depth sensor as ground truth: nearest in time, registered by both camera matrices, errors."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

import numpy as np

from fastdepth_ros.bags.camera import CameraInfos
from fastdepth_ros.bags.request import Truth
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.geometry import Crop
from fastdepth_ros.metrics.depth import depth_errors, median_scale


class DepthSensor:
    """Measures depth images against the truth that is nearest in time.

    Args:
        truth: requested comparison.
        messages: messages of the truth topic.
        cameras: the sensor's camera_info.
        crop: part of the depth image that the network saw, from the height and width of a frame; None: all of it.
    """

    def __init__(
        self, truth: Truth, messages: Iterable[Any], cameras: CameraInfos, crop: Callable[[int, int], Crop | None]
    ) -> None:
        self._messages = sorted(messages, key=stamp_ns)
        self._stamps = [stamp_ns(message) for message in self._messages]
        self._tolerance_ns = round(truth.tolerance_s * 1e9)
        self._cameras, self._crop = cameras, crop

    def errors(
        self, stamp: int, result: DepthResult, frame_shape: tuple[int, int], frame_k: Any | None
    ) -> dict[str, Any]:
        """`truth_errors` with the stamps of both; arguments and errors as of `truth`."""
        truth, truth_stamp = self.truth(stamp, result, frame_shape, frame_k)
        errors = truth_errors(result.depth, truth, result.max_depth_m)
        return {"stamp_ns": stamp, "truth_stamp_ns": truth_stamp, **errors}

    def truth(
        self, stamp: int, result: DepthResult, frame_shape: tuple[int, int], frame_k: Any | None
    ) -> tuple[np.ndarray, int]:
        """The truth at the pixels of a depth image, float32 HxW meters, 0 unknown; and its stamp.

        Args:
            frame_shape, frame_k: shape and camera matrix (9,) of the frame that gave the depth; None where unknown.

        Raises:
            FrameError: no truth in time, or none that can be read and registered.
        """
        message = self._nearest(stamp)
        truth = meters_of(message)
        truth[np.isinf(truth)] = 0  # beyond its range a sensor measures nothing
        truth_k = self._cameras.at(stamp_ns(message), truth.shape).matrix
        to_truth = truth_pixels(result.from_frame, frame_shape, frame_k, truth.shape, truth_k)
        truth = registered(truth, to_truth, result.depth.shape)
        crop = self._crop(*frame_shape)
        if crop is not None:
            truth = only_within(truth, crop)
        return truth, stamp_ns(message)

    def _nearest(self, stamp: int) -> Any:
        place = bisect_left(self._stamps, stamp)
        candidates = range(max(place - 1, 0), min(place + 1, len(self._stamps)))
        nearest = min(candidates, key=lambda index: abs(self._stamps[index] - stamp), default=None)
        if nearest is None or abs(self._stamps[nearest] - stamp) > self._tolerance_ns:
            raise FrameError(f"no truth within {self._tolerance_ns / 1e6:g} ms of the frame")
        return self._messages[nearest]


def registered(truth: np.ndarray, to_truth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The truth at the pixels of a depth image, each the nearest; 0 outside of the sensor's view.

    Args:
        truth: HxW meters.
        to_truth: 3x3 map from depth pixels to truth pixels, without rotation or skew: both cameras look along the
            same axis from the same point.
        shape: height and width of the depth image.
    """
    columns = np.floor(to_truth[0, 0] * np.arange(shape[1]) + to_truth[0, 2] + 0.5).astype(int)
    rows = np.floor(to_truth[1, 1] * np.arange(shape[0]) + to_truth[1, 2] + 0.5).astype(int)
    height, width = truth.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(inside, truth[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))], 0)


def only_within(truth: np.ndarray, crop: Crop) -> np.ndarray:
    """The truth inside of a rectangle, 0 outside."""
    inside = np.zeros_like(truth)
    inside[crop.slices] = truth[crop.slices]
    return inside


def truth_pixels(
    from_frame: np.ndarray, frame_shape: tuple[int, int], frame_k: Any, truth_shape: tuple[int, int], truth_k: Any
) -> np.ndarray:
    """3x3 map from depth pixels to truth pixels.

    Args:
        from_frame: 3x3 map from the frame's pixels to the depth's.
        frame_k, truth_k: camera matrices (9,), None where unknown; without both, images of one size are taken to be
            of one camera.

    Raises:
        FrameError: sizes differ and a matrix is missing.
    """
    if frame_k is not None and truth_k is not None:
        between = np.reshape(truth_k, (3, 3)) @ np.linalg.inv(np.reshape(frame_k, (3, 3)))
    elif frame_shape == truth_shape:
        between = np.eye(3)
    else:
        raise FrameError(
            f"truth is {truth_shape[1]}x{truth_shape[0]}, frame {frame_shape[1]}x{frame_shape[0]}: registering "
            "them needs the camera_info of both"
        )
    return between @ np.linalg.inv(from_frame)


def truth_errors(depth: np.ndarray, truth: np.ndarray, max_depth_m: float = inf) -> dict[str, Any]:
    """Errors of one depth image as it is, and after its median is brought to the truth's.

    Args:
        depth: HxW meters; NaN counts as 0, as `fastdepth evaluate` takes what the network does not know, and +inf as
            `max_depth_m`, the least that it says; where the truth is beyond that too, the pixel is left out.
        truth: HxW meters on the same grid, 0 unknown.

    Raises:
        FrameError: no pixel of the truth is known.
    """
    beyond = np.isposinf(depth)
    known = (truth > 0) & ~(beyond & (truth > max_depth_m))
    if not known.any():
        raise FrameError("truth is known nowhere in the field of view")
    truth = np.where(known, truth, 0)
    depth = np.where(beyond, np.float32(max_depth_m), np.nan_to_num(depth, nan=0.0))
    scale = median_scale(depth, truth)
    return {
        "pixels": int(np.count_nonzero(known)),
        "errors": depth_errors(depth, truth),
        "scale": scale,
        "errors_scale_aligned": depth_errors(depth * scale, truth),
    }
