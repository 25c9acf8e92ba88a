"""Image files, whole or refused: OpenCV fills what a truncated file lacks with gray or black and says nothing."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.data.datasets import DatasetError
from fastdepth_ros.depth.compressed_image import jpeg_is_whole

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


def read_image(path: Path, flags: int) -> np.ndarray:
    """Decode an image.

    A PNG's checksums find any fault. A JPEG has none: a missing end is found, a changed byte is not.

    Args:
        flags: cv2.IMREAD_COLOR (BGR) or cv2.IMREAD_UNCHANGED.

    Raises:
        DatasetError: missing, truncated, damaged, or not an image.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    if data.startswith(_PNG) and not _png_is_whole(data):
        raise DatasetError(f"{path} is a truncated or damaged PNG")
    if data.startswith(_JPEG) and not jpeg_is_whole(data):
        raise DatasetError(f"{path} is a truncated or damaged JPEG")
    image = decoded(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise DatasetError(f"{path} is not an image")
    return image


def decoded(data: np.ndarray, flags: int) -> np.ndarray | None:
    """The image in a file's bytes; None where OpenCV finds none, or refuses its size."""
    try:
        return cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        return None


def read_images(*files: tuple[Path, int]) -> list[np.ndarray]:
    """`read_image` of each, and one DatasetError that names all that cannot be read."""
    images, faults = [], []
    for path, flags in files:
        try:
            images.append(read_image(path, flags))
        except DatasetError as error:
            faults.append(str(error))
    if faults:
        raise DatasetError("; ".join(faults))
    return images


def _png_is_whole(data: bytes) -> bool:
    """Each chunk is its length, its type and content, and their CRC-32; the last is IEND."""
    start = len(_PNG)
    while start + 12 <= len(data):
        stop = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if zlib.crc32(memoryview(data)[start + 4 : stop]) != int.from_bytes(data[stop : stop + 4], "big"):
            return False
        if data[start + 4 : start + 8] == b"IEND":
            return True
        start = stop + 4
    return False
