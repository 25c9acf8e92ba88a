"""Interface of a data set, and the registry of data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from fastdepth_ros.errors import FastDepthError

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
    """Several data sets one after the other; the same one may be in it several times."""

    parts: tuple[Dataset, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Pair:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


Opener = Callable[[Path, str], Dataset]
AnyOpener = TypeVar("AnyOpener", bound=Opener)
DATASETS: dict[str, Opener] = {}


def register_dataset(name: str) -> Callable[[AnyOpener], AnyOpener]:
    """Decorator of a function (root, split) -> Dataset: makes it available under `name`."""

    def register(opener: AnyOpener) -> AnyOpener:
        DATASETS[name] = opener
        return opener

    return register


def require_split(split: str, known: Sequence[str], where: Path) -> None:
    """Raises DatasetError, with the known ones, for a split that is not there."""
    if split not in known:
        raise DatasetError(f"no split {split!r} in {where}, it has {', '.join(known)}")
