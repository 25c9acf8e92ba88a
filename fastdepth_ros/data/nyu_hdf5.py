"""NYU Depth v2 as the FastDepth authors publish it: one HDF5 file a pair, 47,584 to train and 654 to validate."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastdepth_ros.data.hdf5 import open_hdf5
from fastdepth_ros.data.pairs import DatasetError, Pair, register_dataset, require_split

# Two files of each scene chose the authors' checkpoints and trained nothing.
_HELD_OUT = ("00001.h5", "00201.h5")
_SPLITS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "train": ("train", lambda file: True),
    "train-seen": ("train", lambda file: not file.endswith(_HELD_OUT)),
    "holdout": ("train", lambda file: file.endswith(_HELD_OUT)),
    "val": ("val", lambda file: True),
}


@dataclass(frozen=True)
class Hdf5Dataset:
    """``NAME.h5`` with `rgb` uint8 3xHxW and `depth` float32 HxW meters.

    Args:
        root: folder of the files.
        names: ``scene/NNNNN`` each.
    """

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        """Raises DatasetError for a file that is missing, damaged or of another layout, IndexError past the end."""
        name = self.names[index]
        path = self.root / f"{name}.h5"
        with open_hdf5(path) as file:
            rgb, depth = np.asarray(file["rgb"][()]), np.asarray(file["depth"][()])
        if rgb.dtype != np.uint8 or depth.dtype != np.float32 or rgb.shape != (3, *depth.shape) or depth.ndim != 2:
            raise DatasetError(
                f"{path}: rgb is {rgb.dtype} {rgb.shape}, depth {depth.dtype} {depth.shape}; "
                "they should be uint8 (3, H, W) and float32 (H, W)"
            )
        return Pair(name, np.ascontiguousarray(rgb.transpose(1, 2, 0)), depth)


@register_dataset("nyu-hdf5")
def open_nyu_hdf5(root: Path, split: str) -> Hdf5Dataset:
    """``train/<scene>/NNNNN.h5`` and ``val/official/NNNNN.h5``, listed and not opened.

    Splits: `train` and `val`; and of `train`, what the authors trained on (`train-seen`) and what chose their
    checkpoints (`holdout`).
    """
    require_split(split, list(_SPLITS), root)
    part, chosen = _SPLITS[split]
    folder = root / part
    if not folder.is_dir():
        raise DatasetError(f"{root} has no folder {part}/; nyu-hdf5 needs train/<scene>/*.h5 and val/official/*.h5")
    names = [
        f"{scene}/{file.removesuffix('.h5')}"
        for scene in sorted(os.listdir(folder))
        if (folder / scene).is_dir()
        for file in sorted(os.listdir(folder / scene))
        if file.endswith(".h5") and chosen(file)
    ]
    if not names:
        raise DatasetError(f"{folder} has no .h5 file for the split {split!r}")
    return Hdf5Dataset(folder, tuple(names))
