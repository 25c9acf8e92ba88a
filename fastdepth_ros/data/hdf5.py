"""HDF5 files that say what is wrong with them. h5py is imported when a file is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastdepth_ros.data.pairs import DatasetError

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
