"""The training loop: one process or one per GPU, resumed where a killed run stopped, on the same trajectory."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from fastdepth_ros.data.augment import augment, augment_mixed, augment_steady
from fastdepth_ros.data.authors import authors_train
from fastdepth_ros.data.camera import of_training_camera
from fastdepth_ros.data.datasets import Dataset, Joined, hold_out
from fastdepth_ros.data.loader import PairLoader
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.metrics.depth import depth_errors, mean_errors
from fastdepth_ros.nn.checkpoints import CheckpointError, fingerprint, load_checkpoint, save_checkpoint
from fastdepth_ros.nn.network import DepthNetwork
from fastdepth_ros.train.evaluation import authors_protocol
from fastdepth_ros.train.losses import LOSSES
from fastdepth_ros.train.plots import write_learning_curve, write_samples
from fastdepth_ros.train.recipe import Recipe
from fastdepth_ros.train.run_folder import STATE, RunFolder

AUGMENTATIONS = {"authors": authors_train, "warp": augment, "steady": augment_steady, "mixed": augment_mixed}
SAMPLES = 4
LAST, BEST = "last.safetensors", "best.safetensors"
LOG = logging.getLogger(__name__)


class Predictor(nn.Module):
    """Depth on the grid of the target: all of it, or the half that leaves the network."""

    def __init__(self, network: DepthNetwork, half: bool) -> None:
        super().__init__()
        self.network, self.half_grid = network, half

    def forward(self, rgb: Tensor) -> Tensor:
        return self.network.half_resolution(rgb) if self.half_grid else self.network(rgb)


class Trainer:
    """One run in one folder.

    Args:
        network: network with its first weights; trained in place.
        dataset: the training split.
        others: data sets that are trained on beside it; none of their pairs is held out.
        out: the run's folder; an unfinished run of the same recipe, first weights and number of pairs goes on.
        workers, cache: arguments of the loader.
        amp: bfloat16 where it is safe.
        checkpoint_s: seconds between saves inside an epoch.

    Raises:
        FastDepthError: the folder holds another run, or the data do not fill a batch.
    """

    def __init__(
        self, network: DepthNetwork, recipe: Recipe, dataset: Dataset, out: Path, *,
        others: Sequence[Dataset] = (), workers: int = 0, cache: bool = False, amp: bool = False,
        checkpoint_s: float = 300.0,
    ) -> None:  # fmt: skip
        self.recipe, self.amp, self.checkpoint_s = recipe, amp, checkpoint_s
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = _device()
        pairs = [len(each) for each in (dataset, *others)]
        begun_with = {
            "recipe": asdict(recipe), "network": network.description(), "first_weights": fingerprint(network),
            "pairs": pairs, "amp": amp,
        }  # fmt: skip
        own, self.held_out = hold_out(dataset, recipe.holdout, recipe.seed)
        training = Joined((*[own] * recipe.repeat, *others))
        if len(training) < recipe.batch:
            raise FastDepthError(f"{len(training)} pairs do not fill one batch of {recipe.batch}")
        self.folder = RunFolder(out, begun_with, writes=self.rank == 0)
        self.loader = PairLoader(
            training, AUGMENTATIONS[recipe.augmentation], recipe.batch, recipe.seed,
            workers=workers, cache=cache, device=self.device, size_px=recipe.input_px, shard=(self.rank, self.world),
        )  # fmt: skip
        network.confidence = None  # of other weights than those that come
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.predictor: nn.Module = Predictor(self.network, half=recipe.augmentation != "authors")
        if self.world > 1:
            self.predictor = DistributedDataParallel(self.predictor)
        self.average = (
            AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
            if recipe.ema_decay
            else None
        )
        self.optimizer, self.schedule = _optimizer(self.network, recipe, len(self.loader))
        self.log: list[dict[str, float]] = []
        self.step, self.losses = 0, torch.zeros(2)  # of the epoch: steps done; sum and number of losses
        self._resume()

    def run(self) -> Path:
        """Train to the last epoch.

        Returns:
            `best.safetensors` where pairs are held out, else `last.safetensors`.

        Raises:
            FastDepthError: the loss is not finite, and the batch is saved; or a power cut damaged the best checkpoint.
        """
        try:
            while len(self.log) < self.recipe.epochs:
                self._train_epoch()
                self._finish_epoch()
        finally:
            self.folder.release()
        result = self.folder.path / (BEST if self.held_out else LAST)
        if not self.rank:
            self._require_whole(result)
        return result

    def _train_epoch(self) -> None:
        self.predictor.train()
        epoch, saved_at = len(self.log), time.monotonic()
        batches = tqdm(
            self.loader.epoch(epoch, self.step), initial=self.step, total=len(self.loader),
            desc=f"epoch {epoch + 1}/{self.recipe.epochs}", unit="batch", leave=False, disable=self.rank > 0,
        )  # fmt: skip
        for rgb, target in batches:
            self._train_step(rgb, target)
            batches.set_postfix(loss=f"{self.losses[0] / self.losses[1]:.3f}")
            if time.monotonic() - saved_at >= self.checkpoint_s:
                self._save_state()
                saved_at = time.monotonic()

    def _train_step(self, rgb: Tensor, target: Tensor) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            depth = self.predictor(rgb)
        loss = LOSSES[self.recipe.loss](depth.float(), target)
        if not torch.isfinite(loss):
            self._stop_on(rgb, target, loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step += 1
        self.losses += torch.tensor([loss.item(), 1.0])

    def _stop_on(self, rgb: Tensor, target: Tensor, loss: Tensor) -> None:
        file = self.folder.path / "bad_batch.safetensors"
        save_file({"rgb": rgb.contiguous().cpu(), "depth": target.contiguous().cpu()}, file)
        raise FastDepthError(
            f"loss is {loss.item()} in epoch {len(self.log) + 1}, step {self.step + 1}; the batch is in {file}. "
            "Lower the learning rate, or look for bad depth"
        )

    def _finish_epoch(self) -> None:
        """Evaluate, save, draw. The state comes last: a kill before it repeats only this."""
        row: dict[str, float] = {
            "epoch": len(self.log) + 1,
            "loss": float(self.losses[0] / self.losses[1]),
            "learning_rate": float(self.schedule.get_last_lr()[0]),
        }
        if self.held_out:
            figures = self._evaluate()
            row |= {name: figures[name] for name in ("rmse", "delta1")}
        self.log.append(row)
        self.step, self.losses = 0, torch.zeros(2)
        if self.rank:
            return
        self._save_checkpoint(LAST, row)
        if self._is_best(row):
            self._save_checkpoint(BEST, row)
        self.folder.write_log(self.log)
        write_learning_curve(self.folder.path / "learning_curve.png", self.log)
        self._save_state()

    def _is_best(self, row: dict[str, float]) -> bool:
        return bool(self.held_out) and row["delta1"] == max(entry["delta1"] for entry in self.log)

    @property
    def result(self) -> DepthNetwork:
        """The network that is evaluated and saved: the average where there is one."""
        return cast(DepthNetwork, self.average.module) if self.average is not None else self.network

    def _save_checkpoint(self, name: str, row: dict[str, float]) -> None:
        save_checkpoint(self.result, self.folder.path / name, {key: str(value) for key, value in row.items()})

    def _evaluate(self) -> dict[str, float]:
        """Mean errors over the held-out pairs, authors' protocol; the first few as samples.png."""
        network = self.result.eval()
        pairs = [of_training_camera(self.held_out[index]) for index in range(len(self.held_out))]
        views, truths = zip(*(authors_protocol(pair, (self.recipe.input_px,) * 2) for pair in pairs))
        depths = [network.infer(view) for view in views]
        if not self.rank:
            write_samples(self.folder.path / "samples.png", views[:SAMPLES], depths[:SAMPLES], truths[:SAMPLES])
        return mean_errors([depth_errors(depth, truth) for depth, truth in zip(depths, truths)])

    def _save_state(self) -> None:
        if self.rank:
            return
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "log": self.log,
            "step": self.step,
            "losses": self.losses,
        }
        if self.average is not None:
            state["average"] = self.average.state_dict()
        self.folder.save_state(state)

    def _resume(self) -> None:
        state = self.folder.load_state(self.device)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.log, self.step, self.losses = state["log"], state["step"], state["losses"].cpu()
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.log and not self.step and not self.rank:
            self._mend()

    def _mend(self) -> None:
        """Write anew what of the last epoch is damaged, from the state that was saved behind it."""
        row = self.log[-1]
        for name in (LAST, *([BEST] if self._is_best(row) else [])):
            try:
                load_checkpoint(self.folder.path / name)
            except CheckpointError as error:
                LOG.warning("%s: it is written anew, from %s", error, STATE)
                self._save_checkpoint(name, row)
        self.folder.write_table(self.log)

    def _require_whole(self, result: Path) -> None:
        try:
            load_checkpoint(result)
        except CheckpointError as error:
            raise FastDepthError(
                f"{error}; its epoch has passed: take {LAST} beside it, or remove the folder to train anew"
            ) from error


def _device() -> torch.device:
    """The GPU of this process, where there is one; joins the other processes that torchrun started."""
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def _optimizer(
    network: nn.Module, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    rates = [rate, rate * recipe.encoder_rate]
    encoder = [weight for name, weight in network.named_parameters() if name.startswith("encoder.")]
    others = [weight for name, weight in network.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": others, "lr": rates[0]}, {"params": encoder, "lr": rates[1]}]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, rate, momentum=recipe.momentum, weight_decay=decay)
    else:
        optimizer = torch.optim.AdamW(groups, rate, weight_decay=decay)
    if recipe.schedule == "step":
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, recipe.step_epochs * steps, recipe.step_factor)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=recipe.epochs * steps)
