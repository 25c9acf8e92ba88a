"""Focal scale: the same picture through a longer lens shows something further away."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np

from fastdepth_ros.errors import FastDepthError

AUTO, OFF = "auto", "off"
SMALLEST, LARGEST = 0.01, 100.0  # no lens is further from the training camera's than that


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
        ValueError: none of those, or a number that is not between 0.01 and 100.
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
