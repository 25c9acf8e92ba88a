"""Camera of a data set, and the depth to train on for its focal length.

A network knows an object's size in pixels only: it says at which depth the training camera would see it so large.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fastdepth_ros.data.datasets import WHOLE, DatasetError, Pair
from fastdepth_ros.depth.geometry import (
    LARGEST,
    SMALLEST,
    TRAINED_FOCAL,
    TRAINED_INPUT_PX,
    Crop,
    Focal,
    field_of_view,
    focal_ratio,
    focal_scale,
    is_plausible,
)  # fmt: skip

INTRINSICS = "intrinsics.json"
MILLIMETERS = ("millimetre", "millimeter", "mm")
_ASPECT = 0.01  # largest difference of aspect ratio at which a picture still counts as the camera's, resized


@dataclass(frozen=True)
class Intrinsics:
    """Focal lengths and center of a pinhole camera, in the pixels of its pictures of `width` x `height`."""

    width: float
    height: float
    fx: float
    fy: float
    cx: float
    cy: float

    def k(self, shape: tuple[int, int]) -> np.ndarray:
        """Camera matrix (9,) of the whole picture resized to (height, width) = `shape`.

        Raises:
            DatasetError: another shape than the camera's.
        """
        height, width = shape
        if abs(width * self.height / (height * self.width) - 1) > _ASPECT:
            raise DatasetError(
                f"{INTRINSICS} is of {self.width:g}x{self.height:g}, the images are {width}x{height}: "
                "that is not the whole picture"
            )
        resized = Crop(0, 0, round(self.height), round(self.width)).onto_grid(height, width)
        return (resized @ np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])).ravel()


def read_intrinsics(root: Path) -> Intrinsics | None:
    """`intrinsics.json` of a folder: `width`, `height`, `fx`, `fy`, and `cx`, `cy` where they are known.

    Returns:
        None where there is no such file.

    Raises:
        DatasetError: not JSON of positive numbers under these names, or a `depth_unit` other than millimeters where no
            `dataset.json` gives the scale.
    """
    path = root / INTRINSICS
    if not path.is_file():
        return None
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        width, height, fx, fy = (float(given[name]) for name in ("width", "height", "fx", "fy"))
        cx, cy = float(given.get("cx", (width - 1) / 2)), float(given.get("cy", (height - 1) / 2))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path} needs the numbers width, height, fx and fy: {error!r}") from error
    if not all(0 < value < math.inf for value in (width, height, fx, fy)) or not math.isfinite(cx + cy):
        raise DatasetError(f"{path} gives width {width}, height {height}, fx {fx}, fy {fy}; all are positive numbers")
    unit = given.get("depth_unit", MILLIMETERS[0])
    if unit not in MILLIMETERS and not (root / "dataset.json").exists():
        raise DatasetError(f"{path} says that depth is in {unit!r}: give its depth_scale_m in dataset.json")
    return Intrinsics(width, height, fx, fy, cx, cy)


def pair_view(pair: Pair) -> Crop:
    """Part of a pair that the network sees.

    Raises:
        FrameError: smaller than 32 x 32.
    """
    return field_of_view("full" if pair.view == WHOLE else "trained", *pair.depth.shape)


def pair_focal_scale(pair: Pair, size_px: int = TRAINED_INPUT_PX, trained: Focal | None = TRAINED_FOCAL) -> float:
    """The factor on the network's depth for the camera of a pair, as the node takes it; 1 where a camera is unknown.

    Args:
        size_px: side of the network input.
        trained: focal lengths of the training camera there.

    Raises:
        DatasetError: a factor that no lens has.
    """
    if pair.k is None or trained is None:
        return 1.0
    scale = focal_scale(focal_ratio(pair.k, pair_view(pair).onto_grid(size_px, size_px), trained))
    if not is_plausible(scale):
        raise DatasetError(
            f"{pair.name}: {INTRINSICS} gives the focal scale {scale:g}, it can be {SMALLEST:g} to {LARGEST:g}"
        )
    return scale


def of_training_camera(pair: Pair) -> Pair:
    """The pair with the depth at which the training camera would see the same picture: what a network is taught."""
    if pair.k is None:
        return pair
    return replace(pair, depth=pair.depth / np.float32(pair_focal_scale(pair)), k=None)
