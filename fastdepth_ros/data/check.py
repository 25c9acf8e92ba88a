"""Is every pair of a data set usable? Asked once, before training starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from fastdepth_ros.data.datasets import Dataset, DatasetError, Pair


@dataclass(frozen=True)
class Report:
    """Findings of a check.

    Args:
        pairs: number of opened pairs.
        faults: a sentence for each that cannot be used, naming its file or the pair.
    """

    pairs: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        if not self.faults:
            return f"all {self.pairs} pairs can be used"
        return "\n  ".join([f"{len(self.faults)} of {self.pairs} pairs cannot be used:", *self.faults])

    def require_no_fault(self) -> None:
        """Raises DatasetError with the whole report, unless all is well."""
        if self.faults:
            raise DatasetError(str(self))


def check_dataset(dataset: Dataset, workers: int = 4) -> Report:
    """Open every pair, in threads. Images decode side by side; HDF5 reads one file at a time, however many ask.

    Args:
        workers: threads, at least 1.

    Returns:
        Each pair that is missing, damaged, of the wrong shape or type, without any depth, or with depth that is
        negative or not finite.
    """

    def fault(index: int) -> str | None:
        try:
            return _fault(dataset[index])
        except DatasetError as error:
            return str(error)

    with ThreadPoolExecutor(max(workers, 1)) as threads:
        indices = range(len(dataset))
        found = list(tqdm(threads.map(fault, indices), total=len(indices), desc="checking", unit="pair"))
    return Report(len(dataset), tuple(sentence for sentence in found if sentence is not None))


def _fault(pair: Pair) -> str | None:
    rgb, depth = pair.rgb, pair.depth
    if rgb.dtype != np.uint8 or depth.dtype != np.float32 or depth.ndim != 2 or rgb.shape != (*depth.shape, 3):
        return f"{pair.name}: color is {rgb.dtype} {rgb.shape}, depth {depth.dtype} {depth.shape}"
    if not np.isfinite(depth).all():
        return f"{pair.name}: {np.count_nonzero(~np.isfinite(depth))} depths are not finite"
    if (depth < 0).any():
        return f"{pair.name}: {np.count_nonzero(depth < 0)} depths are negative"
    if not depth.any():
        return f"{pair.name}: depth is 0 (unknown) everywhere"
    return None
