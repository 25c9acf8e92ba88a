"""Frames from image files, and pictures as BGR, JPEG and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fastdepth_ros.depth.compressed_image import decode_compressed
from fastdepth_ros.depth.frame import Frame, FrameError, SensorBits
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_file
from fastdepth_ros.pictures.color_map import color_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TO_BGR = {
    "rgb": cv2.COLOR_RGB2BGR, "rgba": cv2.COLOR_RGBA2BGR, "bgra": cv2.COLOR_BGRA2BGR, "mono": cv2.COLOR_GRAY2BGR
}  # fmt: skip


def read_frame(path: Path, bits: int = 0) -> Frame:
    """Read a frame from .npy (HxWx3 RGB, uint8 or float in [0, 1]), JPEG, PNG, BMP, WebP, PPM or PGM.

    Args:
        path: file of the image; its EXIF orientation is applied.
        bits: number of bits that 16-bit samples use; 0 finds it in this image.

    Raises:
        FrameError: no such file, not an image, or an array of another shape or type.
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
    """Write depth (float32 HxW meters) as .npy or, colored, as .png; the file is written atomically.

    Raises:
        FastDepthError: another suffix.
    """
    if path.suffix == ".png":
        write_picture(path, color_depth(depth))
    elif path.suffix == ".npy":
        with atomic_file(path) as partial:
            np.save(partial, depth)
    else:
        raise FastDepthError(f"{path}: depth is written as .npy or .png, not {path.suffix!r}")


def write_picture(path: Path, bgr: np.ndarray) -> None:
    """Write uint8 HxWx3 BGR as .png, atomically."""
    with atomic_file(path) as partial:
        if not cv2.imwrite(str(partial), bgr):
            raise OSError(f"cannot write {partial}")


def write_figure(path: Path, figure: Figure, *, legend_columns: int = 0) -> None:
    """Write a matplotlib figure as .png, atomically.

    Args:
        legend_columns: columns of the legend below it, of all that has a label; 0 draws none.
    """
    if legend_columns:
        figure.legend(loc="outside lower center", ncols=legend_columns, fontsize="small")
    with atomic_file(path) as partial:
        figure.savefig(partial)


def as_bgr(frame: Frame) -> np.ndarray:
    """Pixels of a frame as uint8 HxWx3 BGR."""
    return frame.pixels if frame.order == "bgr" else cv2.cvtColor(frame.pixels, _TO_BGR[frame.order])


def jpeg(bgr: np.ndarray, quality: int = 85) -> bytes:
    """JPEG file of uint8 HxWx3 BGR, as bytes."""
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError(f"OpenCV cannot write a JPEG of shape {bgr.shape}")
    return encoded.tobytes()


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
