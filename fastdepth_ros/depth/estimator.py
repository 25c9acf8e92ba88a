"""DepthEstimator: a frame goes in, metric depth comes out, with what each stage took."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import FIELDS_OF_VIEW, Crop, field_of_view
from fastdepth_ros.depth.preprocess import network_input

OUTPUTS = ("network", "camera")


@dataclass(frozen=True)
class DepthResult:
    """Depth of one frame.

    Args:
        depth: float32 HxW metres along the optical axis, NaN where invalid (REP 117).
        from_frame: 3x3 map from frame pixels to depth pixels; multiply it from the left onto K and P.
        stages_ms: duration of each stage.
    """

    depth: np.ndarray
    from_frame: np.ndarray
    stages_ms: dict[str, float]


class DepthEstimator:
    """The hot path, the same for the node, bags and single images.

    Args:
        backend: a loaded engine.
        size_px: side of its network input.
        field: "trained" or "full": which part of a frame the network sees.
        output: grid of the result: the "network" input's, or the "camera" frame's, NaN outside the field of view.
    """

    def __init__(self, backend: Backend, size_px: int, *, field: str = "trained", output: str = "network") -> None:
        if output not in OUTPUTS:
            raise ValueError(f"unknown output grid {output!r}, there is {', '.join(OUTPUTS)}")
        if field not in FIELDS_OF_VIEW:
            raise ValueError(f"unknown field of view {field!r}, there is {', '.join(FIELDS_OF_VIEW)}")
        self.backend = backend
        self._size_px, self._field, self._output = size_px, field, output

    def __call__(self, frame: Frame) -> DepthResult:
        """Estimate the depth of one frame.

        Raises:
            FrameError: the frame is too small.
        """
        started = time.perf_counter_ns()
        height, width = frame.pixels.shape[:2]
        crop = field_of_view(self._field, height, width)
        pixels = network_input(frame, crop, self._size_px, self.backend.channels)
        prepared = time.perf_counter_ns()
        depth = self.backend.infer(pixels)
        inferred = time.perf_counter_ns()
        # ReLU's exact 0 is not a depth: it says that the network has no answer
        depth = np.where(depth > 0, depth, np.float32(np.nan))
        if self._output == "camera":
            depth, from_frame = _onto_camera(depth, crop, height, width), np.eye(3)
        else:
            from_frame = crop.onto_grid(*depth.shape)
        finished = time.perf_counter_ns()
        stages_ms = {
            "preprocess": (prepared - started) / 1e6,
            "infer": (inferred - prepared) / 1e6,
            "postprocess": (finished - inferred) / 1e6,
        }
        return DepthResult(depth, from_frame, stages_ms)


def _onto_camera(depth: np.ndarray, crop: Crop, height: int, width: int) -> np.ndarray:
    full = np.full((height, width), np.nan, np.float32)
    view = full[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    view[...] = cv2.resize(depth, (crop.width, crop.height), interpolation=cv2.INTER_LINEAR)
    return full
