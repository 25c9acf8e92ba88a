"""Images from files, and depth to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fastdepth_ros.depth.frame import Frame, FrameError, SensorBits, decode_compressed
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import whole_file
from fastdepth_ros.pictures.color_map import color_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR_M, FAR_M = 0.5, 10.0


def read_frame(path: Path, bits: int = 0) -> Frame:
    """A frame from .npy (HxWx3, RGB: uint8, or float in [0, 1]), or from JPEG, PNG, BMP, WebP, PPM or PGM, turned as
    its EXIF says.

    Args:
        bits: that 16-bit samples use; 0 finds them in this image.

    Raises:
        FrameError: missing, not an image, or an array that is no image.
    """
    if not path.is_file():
        raise FrameError(f"no file {path}")
    if path.suffix == ".npy":
        return Frame(_read_array(path))
    try:
        return decode_compressed(path.read_bytes(), upright=True, sensor=SensorBits(bits))
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write .npy (float32 meters) or .png (colored), whole or not at all.

    Raises:
        ValueError: another suffix.
    """
    if path.suffix == ".png":
        write_picture(path, color_depth(depth, NEAR_M, FAR_M))
    elif path.suffix == ".npy":
        with whole_file(path) as partial:
            np.save(partial, depth)
    else:
        raise FastDepthError(f"{path}: depth is written as .npy or .png, not {path.suffix!r}")


def write_picture(path: Path, bgr: np.ndarray) -> None:
    """Write uint8 HxWx3 BGR as .png, whole or not at all."""
    with whole_file(path) as partial:
        if not cv2.imwrite(str(partial), bgr):
            raise OSError(f"cannot write {partial}")


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure of matplotlib as .png, whole or not at all."""
    with whole_file(path) as partial:
        figure.savefig(partial)


def _read_array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FrameError(f"{path} is not a .npy array: {error}") from error
    if array.ndim != 3 or array.shape[-1] != 3:
        raise FrameError(f"{path} has shape {array.shape}, an image has (height, width, 3)")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating) or not (array >= 0).all() or not (array <= 1).all():
        raise FrameError(f"{path} is {array.dtype}, an image is uint8, or float in [0, 1]")
    return np.round(array * 255).astype(np.uint8)
