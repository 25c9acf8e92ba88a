"""Plain folders: ``rgb/NAME.jpg`` or ``.png``, ``depth/NAME.png``, ``split.csv``, and a scale in ``dataset.json``."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.data.image_files import read_images
from fastdepth_ros.data.pairs import DatasetError, Pair, register_dataset, require_split


@dataclass(frozen=True)
class DepthScale:
    """metres = (stored + depth_offset) * depth_scale_m, 0 (unknown) where that is not positive."""

    depth_scale_m: float = 0.001
    depth_offset: float = 0.0

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        metres = (stored.astype(np.float32) + np.float32(self.depth_offset)) * np.float32(self.depth_scale_m)
        return np.maximum(metres, 0)


@dataclass(frozen=True)
class FolderDataset:
    """``rgb/NAME.jpg`` or ``rgb/NAME.png``, and ``depth/NAME.png``.

    Args:
        root: the folder.
        names: the images of one split.
        metres: turns a stored depth image into float32 metres.
    """

    root: Path
    names: tuple[str, ...]
    metres: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        """Raises DatasetError for files that are missing or damaged, IndexError past the end."""
        name = self.names[index]
        colour = self.root / "rgb" / f"{name}.png"
        if not colour.exists():
            colour = colour.with_name(f"{name}.jpg")
        depth = self.root / "depth" / f"{name}.png"
        bgr, stored = read_images((colour, cv2.IMREAD_COLOR), (depth, cv2.IMREAD_UNCHANGED))
        if stored.ndim != 2:
            raise DatasetError(f"{depth} has {stored.shape[2]} channels, depth has one")
        if bgr.shape[:2] != stored.shape:
            raise DatasetError(f"{name}: colour is {bgr.shape[:2]}, depth {stored.shape}")
        return Pair(name, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), self.metres(stored))


@register_dataset("folder")
def open_folder(root: Path, split: str) -> FolderDataset:
    """Folders of one's own: `split.csv` with the columns ``name,split``, or ``index,split`` for names of four digits.

    Depth is PNG of 8 or 16 bits, by default millimetres with 0 unknown. ``dataset.json`` may say otherwise:
    ``{"depth_scale_m": 0.001, "depth_offset": 0}``.
    """
    return FolderDataset(root, read_split(root, split), _read_scale(root / "dataset.json"))


def read_split(root: Path, split: str) -> tuple[str, ...]:
    """The names of one split, in the order of ``split.csv``.

    Raises:
        DatasetError: no such file or split, or a file of other columns.
    """
    index = root / "split.csv"
    if not index.is_file():
        raise DatasetError(f"{root} has no split.csv; the folder needs rgb/, depth/ and split.csv")
    try:
        with index.open(newline="", encoding="utf-8") as lines:
            names = [(_name(row), row["split"]) for row in csv.DictReader(lines)]
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{index} needs the columns name,split or index,split: {error!r}") from error
    require_split(split, sorted({part for _, part in names if part}), index)
    return tuple(name for name, part in names if part == split)


def _name(row: dict[str, str]) -> str:
    return row["name"] if "name" in row else f"{int(row['index']):04d}"


def _read_scale(path: Path) -> DepthScale:
    if not path.exists():
        return DepthScale()
    known = [field.name for field in fields(DepthScale)]
    try:
        settings = json.loads(path.read_text())
        scale = DepthScale(**{key: float(value) for key, value in settings.items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is JSON of numbers named {', '.join(known)}: {error}") from error
    if not (0 < scale.depth_scale_m < math.inf) or not math.isfinite(scale.depth_offset):
        raise DatasetError(f"{path} gives {scale}; the scale is positive, the offset finite")
    return scale
