"""The depth sensor that was recorded beside the camera, for one window."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from fastdepth_ros.bags.cameras import Cameras, matrix_of
from fastdepth_ros.bags.recording import stamp_ns
from fastdepth_ros.bags.truth import only_within, registered, truth_errors, truth_pixels
from fastdepth_ros.depth.depth_image import metres_of
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.geometry import Crop


class Sensor:
    """Measures depth images by the truth that is nearest in time.

    Args:
        messages: of the truth topic.
        cameras: the sensor's camera_info.
        crop: the part of the depth of a frame (height, width) that the network saw; None is all of it.
    """

    def __init__(
        self, messages: Iterable[Any], tolerance_s: float, cameras: Cameras, crop: Callable[[int, int], Crop | None]
    ) -> None:
        self._messages = sorted(messages, key=stamp_ns)
        self._stamps = [stamp_ns(message) for message in self._messages]
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._cameras, self._crop = cameras, crop

    def errors(
        self, stamp: int, result: DepthResult, frame_shape: tuple[int, int], frame_k: Any | None
    ) -> dict[str, Any]:
        """`truth_errors` with the stamps of both.

        Args:
            frame_shape, frame_k: of the frame that gave the depth; K (9,) is None where unknown.

        Raises:
            FrameError: no truth in time, or none that can be read and registered.
        """
        message = self._nearest(stamp)
        truth = metres_of(message)
        truth_k = matrix_of(self._cameras.at(stamp_ns(message), truth.shape))
        to_truth = truth_pixels(result.from_frame, frame_shape, frame_k, truth.shape, truth_k)
        truth = registered(truth, to_truth, result.depth.shape)
        crop = self._crop(*frame_shape)
        if crop is not None:
            truth = only_within(truth, crop)
        return {"stamp_ns": stamp, "truth_stamp_ns": stamp_ns(message), **truth_errors(result.depth, truth)}

    def _nearest(self, stamp: int) -> Any:
        place = bisect_left(self._stamps, stamp)
        candidates = range(max(place - 1, 0), min(place + 1, len(self._stamps)))
        nearest = min(candidates, key=lambda index: abs(self._stamps[index] - stamp), default=None)
        if nearest is None or abs(self._stamps[nearest] - stamp) > self._tolerance_ns:
            raise FrameError(f"no truth within {self._tolerance_ns / 1e6:g} ms of the frame")
        return self._messages[nearest]
