"""Training batches: read, augment and collate in worker processes, the same whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from fastdepth_ros.data.camera import of_training_camera
from fastdepth_ros.data.datasets import WHOLE, Dataset, Joined, Pair
from fastdepth_ros.errors import FastDepthError

Transform = Callable[..., tuple[np.ndarray, np.ndarray]]
_READING_THREADS = 4


class PairLoader:
    """Batches of a data set, whose every pair is shuffled and augmented from (seed, epoch, its index) alone.

    The depth is that at which the training camera would see the same picture (`data.camera`). Neither the number of
    workers nor that of processes, nor a start in the middle of an epoch changes a batch. The pairs that do not fill the
    last batch are left out; another epoch leaves out others.

    Args:
        transform: (rgb, depth, size_px, rng) -> (uint8 size x size x 3, float32 h x w), such as `augment` and
            `authors_train`. A pair of a whole view is given with `whole=True`.
        batch: pairs of one step, over all processes.
        workers: processes that prepare batches; 0 prepares them here.
        cache: read all pairs now and keep them decoded, 7 bytes a pixel (2 MB for 640x480). The workers share this
            memory with us: they are forked and copy nothing.
        device: device of the batches, through pinned memory for a GPU; the CPU if None.
        size_px: side of the network input.
        shard: (rank, number of processes); each takes its share of every batch.

    Raises:
        ValueError: the pairs do not fill one batch, or the batch cannot be shared out evenly.
        DatasetError: a pair cannot be read.
    """

    def __init__(
        self, dataset: Dataset, transform: Transform, batch: int, seed: int, workers: int = 0, cache: bool = False,
        device: torch.device | str | None = None, *, size_px: int = 224, shard: tuple[int, int] = (0, 1),
    ) -> None:  # fmt: skip
        if batch < 1 or batch % shard[1]:
            raise FastDepthError(f"a batch of {batch} cannot be shared out evenly among {shard[1]} processes")
        if len(dataset) < batch:
            raise FastDepthError(f"{len(dataset)} pairs do not fill one batch of {batch}")
        self.batch, self.seed, self.workers, self.shard = batch, seed, workers, shard
        self.device = torch.device(device or "cpu")
        self._samples = _Samples(_read(dataset) if cache else dataset, transform, seed, size_px)
        # Of our own, so that a worker's seed is not drawn from the global one, on which the training may depend.
        self._generator = torch.Generator()

    def __len__(self) -> int:
        """Steps of an epoch."""
        return len(self._samples) // self.batch

    def epoch(self, number: int, start_batch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch.

        Args:
            number: number of the epoch, from 0.
            start_batch: number of batches to leave out, for a run that goes on in the middle.

        Returns:
            (N, 3, size, size) float32 RGB in [0, 1], channels last in memory, and (N, 1, h, w) float32 meters.
        """
        loader = DataLoader(
            self._samples,
            batch_sampler=self._order(number)[start_batch:],
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_init_worker,
            multiprocessing_context="fork" if self.workers else None,  # what shares the cache
            generator=self._generator,
        )
        for rgb, depth in loader:
            rgb = rgb.to(self.device, non_blocking=True).permute(0, 3, 1, 2)  # (N, 3, size, size), 1 byte till here
            yield rgb.float() / 255, depth.to(self.device, non_blocking=True)

    def _order(self, number: int) -> list[list[tuple[int, int]]]:
        """(epoch, index) of each pair of each batch of this process."""
        pairs = len(self._samples)
        shuffled = np.random.default_rng([self.seed, number, pairs]).permutation(pairs)  # no pair has this index
        rank, processes = self.shard
        mine = shuffled[: len(self) * self.batch].reshape(len(self), processes, -1)[:, rank]
        return [[(number, int(index)) for index in batch] for batch in mine]


class _Samples(TorchDataset[tuple[np.ndarray, np.ndarray]]):
    """Augmented pairs by (epoch, index)."""

    def __init__(self, pairs: Dataset, transform: Transform, seed: int, size_px: int) -> None:
        self.pairs, self.transform, self.seed, self.size_px = pairs, transform, seed, size_px

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        epoch, index = key
        pair = of_training_camera(self.pairs[index])
        rng = np.random.default_rng([self.seed, epoch, index])
        options = {"whole": True} if pair.view == WHOLE else {}
        return self.transform(pair.rgb, pair.depth, self.size_px, rng, **options)


def _read(dataset: Dataset) -> list[Pair]:
    if isinstance(dataset, Joined):
        parts = {id(part): _read(part) for part in {id(part): part for part in dataset.parts}.values()}
        return [pair for part in dataset.parts for pair in parts[id(part)]]
    with ThreadPoolExecutor(_READING_THREADS) as threads:
        pairs = threads.map(dataset.__getitem__, range(len(dataset)))
        return list(tqdm(pairs, total=len(dataset), desc="reading", unit="pair"))


def _collate(samples: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Tensor, Tensor]:
    rgb = torch.from_numpy(np.stack([rgb for rgb, _ in samples]))  # (N, size, size, 3)
    depth = torch.from_numpy(np.stack([depth for _, depth in samples]))  # (N, h, w)
    return rgb, depth[:, None]


def _init_worker(_: int) -> None:
    cv2.setNumThreads(0)  # each worker is one thread, and has none of those that it was forked from
