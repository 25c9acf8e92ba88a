"""Plain folders: ``rgb/NAME.jpg`` (or ``color/``, or another format) and ``depth/NAME.png``.

What they are: ``split.csv``, a scale in ``dataset.json``, and the camera in ``intrinsics.json``; each may be absent.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.data.camera import INTRINSICS, Intrinsics, read_intrinsics
from fastdepth_ros.data.datasets import DATASETS, TRAINED, VIEWS, DatasetError, Pair, require_split
from fastdepth_ros.data.image_files import read_images

SETTINGS = "dataset.json"
COLOR_FOLDERS = ("rgb", "color")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".PNG", ".JPG", ".JPEG")  # of color; the first that is there


@dataclass(frozen=True)
class DepthScale:
    """meters = (stored + depth_offset) * depth_scale_m, 0 (unknown) where that is not positive.

    >>> DepthScale()(np.array([[0, 1500]], np.uint16)).round(3)
    array([[0. , 1.5]], dtype=float32)
    """

    depth_scale_m: float = 0.001
    depth_offset: float = 0.0

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        meters = (stored.astype(np.float32) + np.float32(self.depth_offset)) * np.float32(self.depth_scale_m)
        return np.maximum(meters, 0)


@dataclass(frozen=True)
class FolderDataset:
    """A color image of any of `SUFFIXES` and ``depth/NAME.png`` for every name.

    Args:
        root: the folder.
        names: the images of one split.
        meters: turns a stored depth image into float32 meters.
        color: name of the folder of color images.
        intrinsics: the camera; None where it is unknown or the training camera.
        view: part of an image that the network sees: "trained", or "whole".
        notes: sentences on it for people.
    """

    root: Path
    names: tuple[str, ...]
    meters: Callable[[np.ndarray], np.ndarray]
    color: str = COLOR_FOLDERS[0]
    intrinsics: Intrinsics | None = None
    view: str = TRAINED
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        """Raises DatasetError for files that are missing or damaged, IndexError past the end."""
        name = self.names[index]
        depth = self.root / "depth" / f"{name}.png"
        bgr, stored = read_images((self._color_file(name), cv2.IMREAD_COLOR), (depth, cv2.IMREAD_UNCHANGED))
        if stored.ndim != 2:
            raise DatasetError(f"{depth} has {stored.shape[2]} channels, depth has one")
        if bgr.shape[:2] != stored.shape:
            raise DatasetError(f"{name}: color is {bgr.shape[:2]}, depth {stored.shape}")
        k = self.intrinsics.k(stored.shape) if self.intrinsics else None
        return Pair(name, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), self.meters(stored), k, self.view)

    def _color_file(self, name: str) -> Path:
        files = [self.root / self.color / f"{name}{suffix}" for suffix in SUFFIXES]
        return next((file for file in files if file.exists()), files[1])


@DATASETS.register("folder")
def open_folder(root: Path, split: str) -> FolderDataset:
    """Folders of one's own: `split.csv` with the columns ``name,split``, or ``index,split`` for names of four digits.

    Without `split.csv`, every split is all frames that have color and depth, in the order of their names. Depth is PNG
    of 8 or 16 bits, by default millimeters with 0 unknown. ``dataset.json`` may say otherwise:
    ``{"depth_scale_m": 0.001, "depth_offset": 0, "view": "whole"}``; the view is "trained" or "whole".
    """
    color, notes = _color_folder(root), list[str]()
    if (root / "split.csv").is_file():
        names = read_split(root, split)
    else:
        names, notes = _all_frames(root, color)
    intrinsics = read_intrinsics(root)
    if intrinsics is None:
        notes.append(f"{root} has no {INTRINSICS}: its camera is taken to be the training camera, focal scale 1")
    scale, view = _read_settings(root / SETTINGS)
    return FolderDataset(root, names, scale, color, intrinsics, view, tuple(notes))


def _color_folder(root: Path) -> str:
    there = [name for name in COLOR_FOLDERS if (root / name).is_dir()]
    if len(there) != 1 or not (root / "depth").is_dir():
        raise DatasetError(
            f"{root} has {' and '.join(there) or 'no color folder'}; a data set has rgb/ or color/, depth/, and "
            "split.csv where it has splits"
        )
    return there[0]


def _all_frames(root: Path, color: str) -> tuple[tuple[str, ...], list[str]]:
    """The names that have both images, and notes on them."""
    if (root / "job.json").exists():  # split.csv is what such a job writes last
        raise DatasetError(f"{root} has a job.json and no split.csv: its job is not finished, run it again")
    seen = {file.stem for file in (root / color).iterdir() if file.suffix in SUFFIXES}
    measured = {file.stem for file in (root / "depth").iterdir() if file.suffix == ".png"}
    names = tuple(sorted(seen & measured))
    if not names:
        raise DatasetError(
            f"{root}: of {len(seen)} images in {color}/ none has a depth/NAME.png of its name ({len(measured)} there)"
        )
    notes = [f"{root} has no split.csv: all {len(names)} frames, whichever split is asked for"]
    if alone := len(seen ^ measured):
        notes.append(f"{root}: {alone} images have no counterpart in {color}/ or depth/ and are left out")
    return names, notes


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


def _read_settings(path: Path) -> tuple[DepthScale, str]:
    """Scale of the depth, and view."""
    if not path.exists():
        return DepthScale(), TRAINED
    known = [*(field.name for field in fields(DepthScale)), "view"]
    try:
        settings = dict(json.loads(path.read_text(encoding="utf-8")))
        view = settings.pop("view", TRAINED)
        scale = DepthScale(**{key: float(value) for key, value in settings.items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is JSON of {', '.join(known)}, all numbers but the view: {error}") from error
    if view not in VIEWS:
        raise DatasetError(f"{path} gives the view {view!r}, it can be {', '.join(VIEWS)}")
    if not (0 < scale.depth_scale_m < math.inf) or not math.isfinite(scale.depth_offset):
        raise DatasetError(f"{path} gives {scale}; the scale is positive, the offset finite")
    return scale, view
