"""Data sets by name: pairs of a color image and its depth, one at a time."""

from __future__ import annotations

from pathlib import Path

from fastdepth_ros.data import folder, nyu_hdf5, nyu_labeled, nyu_mat  # noqa: F401  (they register themselves)
from fastdepth_ros.data.folder import FolderDataset
from fastdepth_ros.data.image_files import read_image
from fastdepth_ros.data.nyu_labeled import nyu_labeled_meters, open_nyu_labeled
from fastdepth_ros.data.pairs import DATASETS, Dataset, DatasetError, Joined, Pair, Subset

__all__ = [
    "DATASETS", "Dataset", "DatasetError", "FolderDataset", "Joined", "Pair", "Subset", "nyu_labeled_meters",
    "open_dataset", "open_named", "open_nyu_labeled", "read_image",
]  # fmt: skip


def open_dataset(name: str, root: Path, split: str) -> Dataset:
    """Open a data set.

    Raises:
        DatasetError: unknown name or split, or no such folder.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}, there is {', '.join(sorted(DATASETS))}")
    return DATASETS[name](root, split)


def open_named(named: str, split: str) -> Dataset:
    """Open a data set that is named ``DATASET=FOLDER``, as ``--also`` takes it.

    Raises:
        DatasetError: no equals sign, or as `open_dataset`.
    """
    name, equals, root = named.partition("=")
    if not equals:
        raise DatasetError(f"--also takes DATASET=FOLDER, not {named!r}")
    return open_dataset(name, Path(root), split)
