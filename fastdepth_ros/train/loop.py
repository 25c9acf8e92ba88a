"""The training loop: log-depth loss, AdamW with a one-cycle rate, augmentation from memory, resume after a kill."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from fastdepth_ros.data.augment import augment
from fastdepth_ros.data.datasets import FolderDataset, Pair
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import save_checkpoint
from fastdepth_ros.nn.fastdepth import INPUT_SIZE, FastDepth, initialise
from fastdepth_ros.train.losses import log_depth_loss


class TrainingError(Exception):
    """Training that cannot start or go on."""


@dataclass(frozen=True)
class Recipe:
    """What a run depends on besides its data; saved beside the checkpoint."""

    epochs: int = 80
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    seed: int = 0


class Trainer:
    """One run in one folder: `last.safetensors`, `state.pt`, `recipe.json` and `log.csv`.

    Args:
        out: the run's folder. One that holds an unfinished run of the same recipe and channels is resumed.

    Raises:
        TrainingError: the folder holds a run of another recipe or of other channels.
    """

    def __init__(self, channels: Channels, recipe: Recipe, dataset: FolderDataset, out: Path) -> None:
        self.recipe, self.out = recipe, out
        self.pairs = [dataset[index] for index in tqdm(range(len(dataset)), desc="reading", unit="pair")]
        if len(self.pairs) < recipe.batch:
            raise TrainingError(f"{len(self.pairs)} pairs do not fill one batch of {recipe.batch}")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.steps = len(self.pairs) // recipe.batch
        self._claim(channels)
        network = FastDepth(channels)
        initialise(network, seed=recipe.seed)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.learning_rate, total_steps=self.steps * recipe.epochs
        )
        self.log: list[dict[str, float]] = []
        if (out / "state.pt").exists():
            self._resume()

    def run(self) -> Path:
        """Train to the last epoch, saving after each.

        Returns:
            The checkpoint.
        """
        while self.epoch < self.recipe.epochs:
            loss = self._train_epoch()
            self.log.append(
                {"epoch": self.epoch + 1, "loss": loss, "learning_rate": float(self.schedule.get_last_lr()[0])}
            )
            self._save()
        return self.out / "last.safetensors"

    def _train_epoch(self) -> float:
        self.network.train()
        losses = []
        batches = tqdm(self._batches(), total=self.steps, desc=f"epoch {self.epoch + 1}", unit="batch", leave=False)
        for rgb, target in batches:
            loss = log_depth_loss(self.network.half_resolution(rgb), target)
            if not torch.isfinite(loss):
                raise TrainingError(f"loss is {loss.item()} in epoch {self.epoch + 1}; lower the learning rate")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
            self.optimizer.step()
            self.schedule.step()
            losses.append(loss.item())
            batches.set_postfix(loss=f"{np.mean(losses):.3f}")
        return float(np.mean(losses))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(N, 3, 224, 224) in [0, 1] and (N, 1, 112, 112) metres, from the seed and the epoch's number alone."""
        rng = np.random.default_rng([self.recipe.seed, self.epoch])
        order = rng.permutation(len(self.pairs))[: self.steps * self.recipe.batch]
        for chosen in order.reshape(self.steps, -1):
            yield self._collate([self.pairs[index] for index in chosen], rng)

    def _collate(self, pairs: list[Pair], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        samples = [augment(pair.rgb, pair.depth, INPUT_SIZE, rng) for pair in pairs]
        rgb = torch.from_numpy(np.stack([rgb for rgb, _ in samples])).to(self.device)
        depth = torch.from_numpy(np.stack([depth for _, depth in samples])).to(self.device)
        return rgb.permute(0, 3, 1, 2).float() / 255, depth[:, None]

    def _claim(self, channels: Channels) -> None:
        claim = {"recipe": asdict(self.recipe), "channels": channels.as_mapping()}
        path = self.out / "recipe.json"
        if path.exists() and json.loads(path.read_text()) != claim:
            raise TrainingError(f"{self.out} holds a run of another recipe ({path}); choose another folder")
        self.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(claim, indent=2) + "\n")

    def _resume(self) -> None:
        state = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.log = state["log"]

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.log)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "log": self.log,
        }
        torch.save(state, self.out / "state.pt.partial")
        os.replace(self.out / "state.pt.partial", self.out / "state.pt")
        save_checkpoint(self.network, self.out / "last.safetensors", {"epoch": str(self.epoch)})
        with (self.out / "log.csv").open("w", newline="") as lines:
            table = csv.DictWriter(lines, list(self.log[0]))
            table.writeheader()
            table.writerows(self.log)
