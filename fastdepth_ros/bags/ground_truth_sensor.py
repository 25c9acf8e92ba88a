"""The depth sensor that was recorded beside the camera, for one window."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastdepth_ros.bags.cameras import Cameras
from fastdepth_ros.bags.ground_truth import only_within, registered, truth_errors, truth_pixels
from fastdepth_ros.bags.request import Truth
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.geometry import Crop


class Sensor:
    """Measures depth images by the truth that is nearest in time.

    Args:
        truth: what was asked of it.
        messages: of the truth topic.
        cameras: the sensor's camera_info.
        crop: the part of the depth of a frame (height, width) that the network saw; None is all of it.
    """

    def __init__(
        self, truth: Truth, messages: Iterable[Any], cameras: Cameras, crop: Callable[[int, int], Crop | None]
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
            frame_shape, frame_k: of the frame that gave the depth; its matrix (9,) is None where unknown.

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
