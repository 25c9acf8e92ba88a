"""Field of view: which part of a frame the network sees, and what that does to the camera matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.errors import FastDepthError

MIN_SIDE_PX = 32
FIELDS_OF_VIEW = ("trained", "full")

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole frame pixels."""

    top: int
    left: int
    height: int
    width: int

    def onto_grid(self, rows: int, columns: int) -> np.ndarray:
        """3x3 map from frame pixels to the pixels of a rows x columns grid laid over this rectangle.

        Pixel centers lie at whole numbers, as in cv2.resize and in a camera matrix; multiply it from the left onto
        K (3x3) or P (3x4).
        """
        x, y = columns / self.width, rows / self.height
        return np.array(
            [
                [x, 0.0, (0.5 - self.left) * x - 0.5],
                [0.0, y, (0.5 - self.top) * y - 0.5],
                [0.0, 0.0, 1.0],
            ]
        )


def field_of_view(name: str, height_px: int, width_px: int) -> Crop:
    """The rectangle of a frame that the network sees.

    Args:
        name: "trained" (the authors' central crop) or "full" (the whole frame).
        height_px, width_px: size of the camera frame, at least 32 x 32.

    Raises:
        FrameError: the frame is smaller than 32 x 32.
        ValueError: unknown name.
    """
    if name == "trained":
        return trained_view(height_px, width_px)
    if name == "full":
        _require_size(height_px, width_px)
        return Crop(0, 0, height_px, width_px)
    raise FastDepthError(f"unknown field of view {name!r}, there is {', '.join(FIELDS_OF_VIEW)}")


def trained_view(height_px: int, width_px: int) -> Crop:
    """Central crop that the training images had (dataloaders of the FastDepth authors).

    Of a 640x480 frame they keep 228 x 304 of the 250 x 333 to which it is reduced: 0.912 of the height, 1.216 of the
    height wide. Where that is wider than the frame, the full width and the same 3:4 shape.

    Args:
        height_px, width_px: size of the camera frame, at least 32 x 32.

    Returns:
        Crop(top, left, height, width) in frame pixels.

    Raises:
        FrameError: the frame is smaller than 32 x 32.
    """
    _require_size(height_px, width_px)
    height, width = round(0.912 * height_px), round(1.216 * height_px)
    if width > width_px:
        height, width = round(0.75 * width_px), width_px
    return Crop((height_px - height) // 2, (width_px - width) // 2, height, width)


def _require_size(height_px: int, width_px: int) -> None:
    if min(height_px, width_px) < MIN_SIDE_PX:
        raise FrameError(f"frame is {width_px}x{height_px}, needs at least {MIN_SIDE_PX}x{MIN_SIDE_PX} pixels")


def camera_through(from_frame: np.ndarray, k: Numbers, p: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """K and P of a cropped and resized image.

    Args:
        from_frame: 3x3 map from the pixels of the frame to those of the new image (`Crop.onto_grid`).
        k, p: nine and twelve numbers, row by row, as sensor_msgs/CameraInfo holds them.

    Returns:
        float64 (9,) and (12,).
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a camera that says nonsense gets nonsense back
        return (from_frame @ np.reshape(k, (3, 3))).ravel(), (from_frame @ np.reshape(p, (3, 4))).ravel()
