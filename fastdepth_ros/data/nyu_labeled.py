"""The 1449 labeled pairs of NYU Depth v2 as folders of JPEG and 8-bit PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdepth_ros.data.folder import FolderDataset, read_split
from fastdepth_ros.data.pairs import register_dataset


def nyu_labeled_meters(stored: np.ndarray) -> np.ndarray:
    """The 8-bit depth of the labeled NYU Depth v2 pairs: 255 steps over 9.99547 m."""
    return (stored.astype(np.float32) + 0.5) * np.float32(9.99547 / 255)


@register_dataset("nyu-labeled")
def open_nyu_labeled(root: Path, split: str) -> FolderDataset:
    """The 1449 labeled pairs of NYU Depth v2, official split of 795 `train` and 654 `test`."""
    return FolderDataset(root, read_split(root, split), nyu_labeled_meters)
