"""Geometry of a frame: the part that the network sees, camera matrices through it, and the focal scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, nan, radians, sqrt, tan
from typing import Any

import numpy as np

from fastdepth_ros.errors import FastDepthError, FrameError

MIN_SIDE_PX = 32
FIELDS_OF_VIEW = ("trained", "full")
FITS = ("stretch", "crop", "pad")
VIEWS = ("authors", "frame")  # what a network was trained on: the central crop of FastDepth's authors, or all
INTERPOLATIONS = ("linear", "area", "cubic")
DEPTH, INVERSE_DEPTH = KINDS = ("depth", "inverse depth")  # what a network says
AUTO, OFF = "auto", "off"
SMALLEST, LARGEST = 0.01, 100.0  # no lens is further from the training camera's than that

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole frame pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of an array: its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

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


def covered(from_frame: np.ndarray, shape: tuple[int, int]) -> tuple[Crop, bool]:
    """The whole frame pixels that a grid of that shape covers, and whether it covers no part of another.

    Args:
        from_frame: 3x3 map from frame pixels to the grid's.
    """
    edges = np.linalg.inv(from_frame) @ [[-0.5, shape[1] - 0.5], [-0.5, shape[0] - 0.5], [1, 1]]
    (left, right), (top, bottom) = edges[:2] + 0.5
    exact = all(abs(edge - round(edge)) < 1e-6 for edge in (left, right, top, bottom))
    top, left, bottom, right = (
        ceil(top - 1e-6), ceil(left - 1e-6), floor(bottom + 1e-6), floor(right + 1e-6)
    )  # fmt: skip
    return Crop(top, left, bottom - top, right - left), exact


def field_of_view(name: str, height_px: int, width_px: int) -> Crop:
    """The rectangle of a frame that the network sees.

    Args:
        name: "trained" (the authors' central crop) or "full" (the whole frame).
        height_px, width_px: size of the camera frame, at least 32 x 32.

    Raises:
        FrameError: the frame is smaller than 32 x 32.
        FastDepthError: unknown name.
    """
    if name == "trained":
        return trained_view(height_px, width_px)
    if name == "full":
        _require_size(height_px, width_px)
        return Crop(0, 0, height_px, width_px)
    raise FastDepthError(f"unknown field of view {name!r}, there is {', '.join(FIELDS_OF_VIEW)}")


@dataclass(frozen=True, eq=False)  # it is the key of what is made of it
class Placement:
    """Place of a frame in a network input.

    Args:
        crop: part of the frame that the network sees.
        inner: part of the network input that shows it: all of it, without the border of `pad`.
        onto_input: 3x3 map from frame pixels to network input pixels.
        frame_shape: height and width of the frame.
    """

    crop: Crop
    inner: Crop
    onto_input: np.ndarray
    frame_shape: tuple[int, int]


def place(name: str, frame_shape: tuple[int, int], input_px: tuple[int, int], fit: str = "stretch") -> Placement:
    """Place a frame in a network input.

    Args:
        name: field of view, as of `field_of_view`.
        frame_shape: height and width of the frame.
        input_px: height and width of the network input.
        fit: "stretch" the field of view to the input's shape; "crop" its middle to that shape; or shrink all of it into
            the middle of the input and "pad" the rest. Whole pixels can leave the two axes' scales unequal, by less
            than a pixel over the input.

    Raises:
        FrameError, FastDepthError: as of `field_of_view`.
    """
    seen = field_of_view(name, *frame_shape)
    rows, columns = input_px
    inner = Crop(0, 0, rows, columns)
    if fit == "crop":
        height = min(seen.height, round(seen.width * rows / columns))
        width = min(seen.width, round(seen.height * columns / rows))
        seen = Crop(seen.top + (seen.height - height) // 2, seen.left + (seen.width - width) // 2, height, width)
    elif fit == "pad":
        ratio = min(rows / seen.height, columns / seen.width)
        height, width = max(round(seen.height * ratio), 1), max(round(seen.width * ratio), 1)
        inner = Crop((rows - height) // 2, (columns - width) // 2, height, width)
    onto_input = seen.onto_grid(inner.height, inner.width)
    onto_input[:2, 2] += inner.left, inner.top
    onto_input.setflags(write=False)  # kept for the next frames
    return Placement(seen, inner, onto_input, frame_shape)


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


def pinhole(shape: tuple[int, int], focal_px: float) -> np.ndarray:
    """Camera matrix (9,) of square pixels around the middle of a frame of a shape (height, width)."""
    return np.array([focal_px, 0, (shape[1] - 1) / 2, 0, focal_px, (shape[0] - 1) / 2, 0, 0, 1])


def focal_of_view_px(view_deg: float, size_px: int) -> float:
    """Focal length in pixels of a camera that sees an angle over so many pixels.

    >>> round(focal_of_view_px(90, 640))
    320
    """
    return size_px / 2 / tan(radians(view_deg) / 2)


@dataclass(frozen=True)
class Focal:
    """Focal lengths at the network input, after crop and resize, in its pixels."""

    fx: float
    fy: float


TRAINED_INPUT_PX = 224
TRAINED_FOCAL = Focal(198.9, 265.8)  # NYU's Kinect, through the authors' crop, at an input of that side


def fixed_focal_scale(value: Any) -> float | None:
    """Scale fixed by the setting `focal_scale`: 1 for "off", the number itself, None for "auto".

    Args:
        value: text or number; False is what YAML makes of a bare `off`.

    Raises:
        FastDepthError: none of those, or a number that is not between 0.01 and 100.
    """
    if value == AUTO:
        return None
    if value == OFF or value is False:
        return 1.0
    try:
        scale = float("nan" if value is True else value)
    except (TypeError, ValueError):
        scale = float("nan")
    if not is_plausible(scale):
        raise FastDepthError(f"focal_scale is {value!r}, it can be auto, off, or a number, {SMALLEST} to {LARGEST:g}")
    return scale


def is_plausible(scale: float) -> bool:
    return SMALLEST <= scale <= LARGEST


def focal_ratio(k: Any, onto_input: np.ndarray, trained: Focal) -> tuple[float, float]:
    """A camera's focal lengths at the network input over the training camera's there, along x and y.

    Args:
        k: camera matrix of the frame, 9 numbers.
        onto_input: 3x3 map from frame pixels to network input pixels (`Crop.onto_grid`).
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not plausible either
        return float(onto_input[0, 0] * k[0] / trained.fx), float(onto_input[1, 1] * k[4] / trained.fy)


def focal_scale(ratio: tuple[float, float]) -> float:
    """The factor on the network's depth: the mean of both axes' ratios, which differ where the view is not 4:3.

    Depth = focal length x size / size in pixels, and the network knows only the sizes in pixels; squeezed along one
    axis, an object's area shrinks by the product of both ratios, hence the geometric mean. NaN where a ratio is not
    above 0: a camera matrix can be nonsense.
    """
    return sqrt(ratio[0]) * sqrt(ratio[1]) if min(ratio) > 0 else nan


def camera_scale(focal: Focal, trained: Focal, *, canonical: bool = False) -> tuple[tuple[float, float], float, str]:
    """`focal_ratio` and `focal_scale` of a camera, and why the scale is not credible: then it is 1; "" if it is.

    Args:
        focal, trained: focal lengths of the camera and of the training camera at the network input.
        canonical: the scale is the arithmetic mean of both ratios, as networks with a canonical focal length take it;
            their input is not squeezed.
    """
    ratio = focal.fx / trained.fx, focal.fy / trained.fy
    scale = (ratio[0] + ratio[1]) / 2 if canonical else focal_scale(ratio)
    if not is_plausible(scale):
        return ratio, 1.0, f"a focal length {scale:.3g} times the training camera's is not credible"
    return ratio, scale, ""
