"""The labeled NYU Depth v2 as its authors publish it: ``nyu_depth_v2_labeled.mat`` and ``splits.mat``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastdepth_ros.data.hdf5 import INSTALL, open_hdf5
from fastdepth_ros.data.pairs import DatasetError, Pair, register_dataset, require_split

_SPLITS = {"train": "trainNdxs", "test": "testNdxs"}


@dataclass(frozen=True)
class MatDataset:
    """Images of one MATLAB 7.3 file, which is HDF5 with the axes in reverse.

    `images` is HxWx3xN in MATLAB and (N, 3, W, H) here, `depths` (meters, in-painted) HxWxN and (N, W, H).

    Args:
        path: the file.
        numbers: of the images, from 1 as MATLAB counts.
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


@register_dataset("nyu-mat")
def open_nyu_mat(root: Path, split: str) -> MatDataset:
    """``nyu_depth_v2_labeled.mat`` and ``splits.mat`` in one folder: 795 `train`, 654 `test`."""
    require_split(split, list(_SPLITS), root)
    numbers = _read_numbers(root / "splits.mat", _SPLITS[split])
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
