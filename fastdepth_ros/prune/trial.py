"""One proposal of NetAdapt: take the filters out, train a little, look how good it is. Runs in any process."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from pathlib import Path

import torch
from torch import nn

from fastdepth_ros.data.augment import augment_steady
from fastdepth_ros.data.camera import of_training_camera
from fastdepth_ros.data.datasets import Dataset, Joined, Pair, hold_out, open_dataset, open_named
from fastdepth_ros.data.loader import PairLoader
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.memory import keep_freed_memory
from fastdepth_ros.jobs.pool import Work
from fastdepth_ros.metrics.depth import depth_errors, mean_errors
from fastdepth_ros.nn.channels import INPUT_PX, Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint, load_fastdepth, save_checkpoint
from fastdepth_ros.nn.network import DepthNetwork, FastDepth
from fastdepth_ros.prune.surgery import slimmed
from fastdepth_ros.train.evaluation import authors_protocol
from fastdepth_ros.train.losses import log_depth_loss

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """Settings by which a proposal is tuned and judged.

    Args:
        dataset, root: the training split of a data set.
        holdout: share of it that judges and never trains, the same in every proposal.
        steps, batch, learning_rate: settings of the short tuning.
        input_px: side of the network input, of tuning and judging alike; small is quick.
        also: "DATASET=FOLDER" of what the network was trained on beside it; batches are drawn from all.
        repeat: number of times that the data set's own pairs occur among these.
        seed: seed of the split.
    """

    dataset: str
    root: Path
    holdout: float = 0.1
    steps: int = 40
    batch: int = 16
    learning_rate: float = 5e-4
    input_px: int = INPUT_PX
    also: tuple[str, ...] = ()
    repeat: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1:
            raise FastDepthError(f"holdout is {self.holdout}, it is a share in (0, 1)")
        for name in ("steps", "batch", "repeat"):
            if getattr(self, name) < 1:
                raise FastDepthError(f"{name} is {getattr(self, name)}, needs at least 1")
        if self.input_px < 32 or self.input_px % 32:
            raise FastDepthError(f"input_px is {self.input_px}, the encoder needs a multiple of 32")


@dataclass(frozen=True)
class Trial:
    """A proposal to try: `parent` with `channels`, written to `out`.

    Args:
        seed: seed of order and augmentation.
        threads: threads of PyTorch; 0 leaves the number to it.
        place: among the iteration's trials, which take the GPUs in turn.
    """

    training: Training
    parent: Path
    channels: Channels
    out: Path
    seed: int
    threads: int = 0
    place: int = 0


def run_trial(trial: Trial) -> dict[str, float]:
    """The errors over the held-out pairs after the short tuning; the network is in `trial.out`.

    A trial that was run before is read, not run again: a killed search goes on.
    """
    if trial.out.exists():
        try:
            _, notes = load_checkpoint(trial.out)
            return {name: float(notes[name]) for name in ("delta1", "rmse")}
        except (CheckpointError, KeyError, ValueError) as error:
            LOG.warning("%s is damaged (%s): this proposal is tried anew", trial.out, error)
    keep_freed_memory()
    if trial.threads:
        torch.set_num_threads(trial.threads)
    gpus = torch.cuda.device_count()
    device = torch.device("cuda", trial.place % gpus) if gpus else torch.device("cpu")
    parent, _ = load_fastdepth(trial.parent)
    network = slimmed(parent, trial.channels).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    tuned, held_out = _split(trial.training)
    _tune(network, tuned, trial, device)
    pairs = (held_out[index] for index in range(len(held_out)))
    errors = accuracy(network, pairs, trial.training.input_px)
    trial.out.parent.mkdir(parents=True, exist_ok=True)
    notes = {"group": trial.out.stem, **{name: repr(errors[name]) for name in ("delta1", "rmse")}}
    save_checkpoint(network.cpu(), trial.out, notes)
    return {name: errors[name] for name in ("delta1", "rmse")}


def accuracy(network: DepthNetwork, pairs: Iterable[Pair], size_px: int = INPUT_PX) -> dict[str, float]:
    """Mean errors by the authors' protocol, on a grid of `size_px`."""
    network.eval()
    views = (authors_protocol(of_training_camera(pair), (size_px, size_px)) for pair in pairs)
    return mean_errors([depth_errors(network.infer(view), truth) for view, truth in views])


def _tune(network: FastDepth, dataset: Dataset, trial: Trial, device: torch.device) -> None:
    """Train for a few steps. Batch norm's statistics are those of these steps alone: without the filters that are gone
    the old ones are wrong, and an average that moves slowly would still be mostly theirs."""
    training = trial.training
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean
    loader = PairLoader(dataset, augment_steady, training.batch, trial.seed, device=device, size_px=training.input_px)
    batches = (batch for epoch in count() for batch in loader.epoch(epoch))
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=0.01)
    network.train()
    for rgb, target in islice(batches, training.steps):
        loss = log_depth_loss(network.half_resolution(rgb), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


@lru_cache(maxsize=1)
def _split(training: Training) -> tuple[Dataset, Dataset]:
    """Pairs for tuning and pairs for judging, chosen by the seed alone."""
    dataset = open_dataset(training.dataset, training.root, "train")
    own, held_out = hold_out(dataset, training.holdout, training.seed, least=1)
    others = [open_named(each, "train") for each in training.also]
    return Joined((*[own] * training.repeat, *others)), held_out


TRIALS = Work(run_trial)
