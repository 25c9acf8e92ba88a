"""Data sets by name: pairs of a colour image and its depth, one at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


class DatasetError(Exception):
    """A data set that is not where it should be, or not what it should be."""


@dataclass(frozen=True)
class Pair:
    """One image: `rgb` uint8 HxWx3, `depth` float32 HxW metres with 0 where unknown."""

    name: str
    rgb: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True)
class FolderDataset:
    """``rgb/NAME.jpg``, ``depth/NAME.png``, and ``split.csv`` with the columns ``index,split``.

    Args:
        root: the folder.
        names: the images of one split.
        metres: turns a stored depth image into metres.
    """

    root: Path
    names: tuple[str, ...]
    metres: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        """Raises DatasetError for a file that is missing or no image, IndexError past the end."""
        name = self.names[index]
        bgr = read_image(self.root / "rgb" / f"{name}.jpg", cv2.IMREAD_COLOR)
        stored = read_image(self.root / "depth" / f"{name}.png", cv2.IMREAD_UNCHANGED)
        if bgr.shape[:2] != stored.shape[:2]:
            raise DatasetError(f"{name}: colour is {bgr.shape[:2]}, depth {stored.shape[:2]}")
        return Pair(name, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), self.metres(stored))


def read_image(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise DatasetError(f"{path} is missing or not an image")
    return image


def nyu_labeled_metres(stored: np.ndarray) -> np.ndarray:
    """The 8-bit depth of the labelled NYU Depth v2 pairs: 255 steps over 9.99547 m."""
    return (stored.astype(np.float32) + 0.5) * np.float32(9.99547 / 255)


def open_nyu_labeled(root: Path, split: str) -> FolderDataset:
    """The 1449 labelled pairs of NYU Depth v2, official split of 795 `train` and 654 `test`."""
    index = root / "split.csv"
    if not index.is_file():
        raise DatasetError(f"{root} has no split.csv; nyu-labeled needs rgb/, depth/ and split.csv")
    with index.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    splits = sorted({row["split"] for row in rows})
    if split not in splits:
        raise DatasetError(f"no split {split!r} in {index}, it has {', '.join(splits)}")
    names = tuple(f"{int(row['index']):04d}" for row in rows if row["split"] == split)
    return FolderDataset(root, names, nyu_labeled_metres)


DATASETS: dict[str, Callable[[Path, str], FolderDataset]] = {"nyu-labeled": open_nyu_labeled}


def open_dataset(name: str, root: Path, split: str) -> FolderDataset:
    """Open a data set.

    Raises:
        DatasetError: unknown name or split, or no such folder.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}, there is {', '.join(sorted(DATASETS))}")
    return DATASETS[name](root, split)
