"""Photographs without depth: encoded images one after the other in a NumPy archive."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.data.datasets import DatasetError
from fastdepth_ros.data.image_files import decoded


class Photographs:
    """``data`` (uint8, the files' bytes) and ``off`` (where each begins, and the end) of an ``.npz``.

    Args:
        classes: names in the array ``classes``, whose numbers ``label`` has for each photograph: these alone; all if
            empty.

    Raises:
        DatasetError: no such file, other arrays in it, or no such class.
    """

    def __init__(self, path: Path, classes: Sequence[str] = ()) -> None:
        self.path = path
        arrays = ("data", "off", "label", "classes") if classes else ("data", "off")
        try:
            with path.open("rb") as file, np.load(file) as archive:  # np.load leaves a damaged file open
                self._data, self._starts, *labels = (archive[name] for name in arrays)
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            wanted = ", ".join(arrays)
            raise DatasetError(f"{path} is no archive of photographs with the arrays {wanted}: {error}") from error
        if not self._fits():
            raise DatasetError(f"{path} is damaged: its offsets do not fit its data")
        self._chosen = np.arange(len(self._starts) - 1)
        if classes:
            numbers, known = labels[0], labels[1].tolist()
            if unknown := sorted(set(classes) - set(known)):
                raise DatasetError(f"{path} has no class {', '.join(unknown)}; it has {', '.join(known)}")
            if len(numbers) != len(self._chosen):
                raise DatasetError(f"{path} is damaged: {len(numbers)} labels of {len(self._chosen)} photographs")
            self._chosen = np.flatnonzero(np.isin(numbers, [known.index(name) for name in classes]))

    def _fits(self) -> bool:
        data, starts = self._data, self._starts
        if data.dtype != np.uint8 or not np.issubdtype(starts.dtype, np.integer) or not data.ndim == starts.ndim == 1:
            return False
        return bool(starts.size and starts[0] >= 0 and starts[-1] <= len(data) and (np.diff(starts) > 0).all())

    @property
    def fingerprint(self) -> str:
        """sha256 of where the files lie in the archive: another selection has other lengths."""
        lengths = np.diff(self._starts)[self._chosen]
        return hashlib.sha256(np.append(0, lengths.cumsum()).astype(np.int64).tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 HxWx3 RGB. Raises DatasetError for one that is damaged."""
        at = self._chosen[index]
        bgr = decoded(self._data[self._starts[at] : self._starts[at + 1]], cv2.IMREAD_COLOR)
        if bgr is None:
            raise DatasetError(f"photograph {index} of {self.path} is damaged")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
