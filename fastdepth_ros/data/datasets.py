"""Data sets by name: pairs of a color image and its depth, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.registry import Registry

TRAINED, WHOLE = VIEWS = ("trained", "whole")


class DatasetError(FastDepthError):
    """A data set that is not where it should be, or not what it should be."""


@dataclass(frozen=True)
class Pair:
    """One image: `rgb` uint8 HxWx3, `depth` float32 HxW meters with 0 where unknown.

    `k` is the camera matrix of the image, 9 numbers; None where it is unknown or the training camera's. `view` is the
    part of the image that the network sees: "trained", or "whole" for a 4:3 picture that was squeezed to another shape.
    """

    name: str
    rgb: np.ndarray
    depth: np.ndarray
    k: np.ndarray | None = None
    view: str = TRAINED


class Dataset(Protocol):
    """Pairs by number, read when they are asked for. Any number of threads or processes may ask.

    A data set may have `notes`: sentences for people.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair:
        """Raises DatasetError for a pair that cannot be read, naming its files, IndexError past the end."""


@dataclass(frozen=True)
class Subset:
    """Some pairs of a data set, in the order of `indices`."""

    dataset: Dataset
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        return self.dataset[self.indices[index]]


@dataclass(frozen=True)
class Joined:
    """Several data sets one after the other; the same one may be in it several times.

    >>> joined = Joined((["a", "b"], ["c"]))
    >>> len(joined), joined[2]
    (3, 'c')
    """

    parts: tuple[Dataset, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Pair:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


DATASETS = Registry[Callable[[Path, str], Dataset]](  # functions of (root, split)
    "data set",
    modules={
        "folder": "fastdepth_ros.data.folder",
        **dict.fromkeys(("nyu-hdf5", "nyu-labeled", "nyu-mat"), "fastdepth_ros.data.nyu"),
    },
    error=DatasetError,
)


def hold_out(dataset: Dataset, share: float, seed: int, *, least: int = 0) -> tuple[Subset, Subset]:
    """The pairs to train on, and the `share` of them that only judges: chosen by the seed alone, in the old order.

    Args:
        share: share in [0, 1), rounded to whole pairs.
        least: number of pairs that judge at least.

    >>> kept, judges = hold_out(range(10), share=0.2, seed=0)
    >>> len(kept), len(judges), sorted([*kept.indices, *judges.indices]) == list(range(10))
    (8, 2, True)
    """
    order: list[int] = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    held = max(least, round(len(dataset) * share))
    return Subset(dataset, sorted(order[held:])), Subset(dataset, sorted(order[:held]))


def require_split(split: str, known: Sequence[str], where: Path) -> None:
    """Raises DatasetError, with the known ones, for a split that is not there."""
    if split not in known:
        raise DatasetError(f"no split {split!r} in {where}, it has {', '.join(known)}")


def open_dataset(name: str, root: Path, split: str) -> Dataset:
    """Open a data set.

    Raises:
        DatasetError: unknown name or split, or no such folder.
    """
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
