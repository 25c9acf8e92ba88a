"""Photographs without depth: encoded images one after the other in a NumPy archive."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.data.datasets import DatasetError
from fastdepth_ros.data.image_files import decoded


class Photographs:
    """``data`` (uint8, the files' bytes) and ``off`` (where each begins, and the end) of an ``.npz``.

    Raises:
        DatasetError: no such file, or other arrays in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file, np.load(file) as archive:  # np.load leaves a damaged file open
                self._data, self._starts = archive["data"], archive["off"]
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path} is no archive of photographs with the arrays data and off: {error}") from error
        if not self._fits():
            raise DatasetError(f"{path} is damaged: its offsets do not fit its data")

    def _fits(self) -> bool:
        data, starts = self._data, self._starts
        if data.dtype != np.uint8 or not np.issubdtype(starts.dtype, np.integer) or not data.ndim == starts.ndim == 1:
            return False
        return bool(starts.size and starts[0] >= 0 and starts[-1] <= len(data) and (np.diff(starts) > 0).all())

    @property
    def fingerprint(self) -> str:
        """sha256 of where the files lie in the archive: another selection has other lengths."""
        return hashlib.sha256(self._starts.astype(np.int64).tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 HxWx3 RGB. Raises DatasetError for one that is damaged."""
        bgr = decoded(self._data[self._starts[index] : self._starts[index + 1]], cv2.IMREAD_COLOR)
        if bgr is None:
            raise DatasetError(f"photograph {index} of {self.path} is damaged")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
