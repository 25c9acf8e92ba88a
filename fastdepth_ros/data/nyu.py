"""NYU Depth v2 in the three forms in which it is published. h5py and scipy are imported when a file is opened.

`nyu-hdf5`: the FastDepth authors', one HDF5 file a pair, 47,584 to train and 654 to validate. `nyu-mat`: the labeled
pairs of its own authors, ``nyu_depth_v2_labeled.mat`` and ``splits.mat``. `nyu-labeled`: the 1449 labeled pairs as
folders of JPEG and 8-bit PNG.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros.data.datasets import DATASETS, DatasetError, Pair, require_split
from fastdepth_ros.data.folder import FolderDataset, read_split

INSTALL = "pip install 'fastdepth_ros[train]'"


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """An open h5py.File, closed again at the end: one that stays open does not survive a fork.

    Raises:
        DatasetError: missing, truncated or no HDF5, or without a key that is asked for; h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(f"{path} needs h5py: {INSTALL}") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise DatasetError(f"{path} is truncated, damaged, or not the HDF5 that it should be: {error}") from error


# Two files of each scene chose the authors' checkpoints and trained nothing.
_HELD_OUT = ("00001.h5", "00201.h5")
_HDF5_SPLITS: dict[str, tuple[str, Callable[[str], bool]]] = {
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


@DATASETS.register("nyu-hdf5")
def open_nyu_hdf5(root: Path, split: str) -> Hdf5Dataset:
    """``train/<scene>/NNNNN.h5`` and ``val/official/NNNNN.h5``, listed and not opened.

    Splits: `train` and `val`; and of `train`, what the authors trained on (`train-seen`) and what chose their
    checkpoints (`holdout`).
    """
    require_split(split, list(_HDF5_SPLITS), root)
    part, chosen = _HDF5_SPLITS[split]
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


_MAT_SPLITS = {"train": "trainNdxs", "test": "testNdxs"}


@dataclass(frozen=True)
class MatDataset:
    """Images of one MATLAB 7.3 file, which is HDF5 with the axes in reverse.

    `images` is HxWx3xN in MATLAB and (N, 3, W, H) here, `depths` (meters, in-painted) HxWxN and (N, W, H).

    Args:
        path: the file.
        numbers: numbers of the images, from 1 as MATLAB counts.
    """

    path: Path
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Pair:
        """Raises DatasetError for a damaged file, IndexError past the end."""
        number = self.numbers[index]
        with open_hdf5(self.path) as file:
            rgb, depth = file["images"][number - 1], file["depths"][number - 1]  # (3, W, H), (W, H)
        rgb = np.ascontiguousarray(rgb.transpose(2, 1, 0))  # (H, W, 3)
        return Pair(f"{number:04d}", rgb, np.ascontiguousarray(depth.T, np.float32))


@DATASETS.register("nyu-mat")
def open_nyu_mat(root: Path, split: str) -> MatDataset:
    """``nyu_depth_v2_labeled.mat`` and ``splits.mat`` in one folder: 795 `train`, 654 `test`."""
    require_split(split, list(_MAT_SPLITS), root)
    numbers = _read_numbers(root / "splits.mat", _MAT_SPLITS[split])
    path = root / "nyu_depth_v2_labeled.mat"
    with open_hdf5(path) as file:
        images, depths = file["images"], file["depths"]
        count, channels, *size = images.shape
        if channels != 3 or images.dtype != np.uint8 or depths.shape != (count, *size):
            raise DatasetError(
                f"{path}: images is {images.dtype} {images.shape}, depths {depths.shape}; "
                "they should be uint8 (N, 3, W, H) and (N, W, H)"
            )
    outside = [number for number in numbers if not 1 <= number <= count]
    if outside:
        raise DatasetError(f"splits.mat names image {outside[0]}, {path} has {count}")
    return MatDataset(path, numbers)


def _read_numbers(path: Path, key: str) -> tuple[int, ...]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise DatasetError(f"{path} needs scipy: {INSTALL}") from error
    if not path.is_file():
        raise DatasetError(f"{path} is missing; nyu-mat needs it beside nyu_depth_v2_labeled.mat")
    try:
        numbers = loadmat(path)[key]
    except (KeyError, MatReadError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise DatasetError(f"{path} is not the splits.mat of NYU Depth v2: {error!r}") from error
    return tuple(int(number) for number in numbers.ravel())


def nyu_labeled_meters(stored: np.ndarray) -> np.ndarray:
    """The 8-bit depth of the labeled NYU Depth v2 pairs: 255 steps over 9.99547 m.

    >>> nyu_labeled_meters(np.array([0, 254], np.uint8)).round(3)
    array([0.02 , 9.976], dtype=float32)
    """
    return (stored.astype(np.float32) + 0.5) * np.float32(9.99547 / 255)


@DATASETS.register("nyu-labeled")
def open_nyu_labeled(root: Path, split: str) -> FolderDataset:
    """The 1449 labeled pairs of NYU Depth v2, official split of 795 `train` and 654 `test`."""
    return FolderDataset(root, read_split(root, split), nyu_labeled_meters)
