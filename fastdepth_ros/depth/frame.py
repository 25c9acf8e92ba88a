"""Input of the hot path: a frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.errors import FastDepthError

BLANK_LEVELS = 2.0  # standard deviation: noise of a covered sensor is less, a dim room is more
BLANK_STEP = 8  # every eighth pixel tells it
CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "mono": 1}


class FrameError(FastDepthError):
    """A frame from which no depth can be computed; the message says why."""


@dataclass(frozen=True)
class Frame:
    """Pixels of one camera image.

    Args:
        pixels: uint8, HxWxC, or HxW for mono. May be a view of memory that somebody else owns.
        order: meaning of the channels: rgb, bgr, rgba, bgra or mono.

    Raises:
        FrameError: pixels do not fit the order.
    """

    pixels: np.ndarray
    order: str = "rgb"

    def __post_init__(self) -> None:
        if self.order not in CHANNELS:
            raise FrameError(f"unknown channel order {self.order!r}, there is {', '.join(CHANNELS)}")
        shape, wanted = self.pixels.shape, CHANNELS[self.order]
        channels = 1 if len(shape) == 2 else shape[-1]
        if self.pixels.dtype != np.uint8 or len(shape) not in (2, 3) or channels != wanted:
            raise FrameError(
                f"pixels are {self.pixels.dtype} of shape {shape}, {self.order} needs uint8 with {wanted} channel(s)"
            )
        if self.pixels.size == 0:
            raise FrameError(f"frame is empty, its shape is {shape}")

    @property
    def is_blank(self) -> bool:
        """Whether it carries no picture: black, white, or any one color but for noise."""
        _, deviation = cv2.meanStdDev(np.ascontiguousarray(self.pixels[::BLANK_STEP, ::BLANK_STEP]))
        return bool(deviation[:3].max() < BLANK_LEVELS)  # alpha is no part of the picture
