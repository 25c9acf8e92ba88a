"""Training of a network's confidence head: the depth stays as it is, a few minutes of one core."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from fastdepth_ros.data.augment import augment_steady
from fastdepth_ros.data.camera import of_training_camera
from fastdepth_ros.data.datasets import WHOLE, Dataset
from fastdepth_ros.depth.geometry import TRAINED_INPUT_PX
from fastdepth_ros.depth.network import NetworkInput
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write
from fastdepth_ros.nn.checkpoints import fingerprint, save_checkpoint
from fastdepth_ros.nn.confidence import FACTOR, FORMS, HIDDEN, MAPS, ConfidenceHead
from fastdepth_ros.nn.network import DepthNetwork
from fastdepth_ros.train.evaluation import of_the_node

CHECKPOINT, FIGURES = "confidence.safetensors", "confidence.json"
SAMPLES, PER_VIEW = 120_000, 240  # pixels of each data set, and of one view of a pair
STEPS, BATCH, RATE, DECAY = 400, 4096, 1e-2, 1e-2
JUDGED_EVERY = 2  # pixels of a held-out view, along both axes
SMALLEST_M = 1e-3  # stands for no depth, whose logarithm does not exist


@dataclass(frozen=True)
class Judged:
    """Scores of one form of the head on the held-out pairs.

    Args:
        brier: Brier score as trained.
        calibrated: the same after `factor` and `shift`, which make its last convolution say the right share.
    """

    form: str
    brier: float
    calibrated: float
    factor: float
    shift: float


def train_confidence(
    network: DepthNetwork, training: Sequence[Dataset], held_out: Dataset, on: str, out: Path, *, seed: int = 0
) -> list[Judged]:
    """Train a head of each form, keep the one of the better Brier score on the held-out pairs, and calibrate it there.

    Args:
        network: gets the head; nothing else of it changes.
        training: data sets of the training camera, each gives as many pixels; of pairs that the depth was trained on,
            the errors are smaller than elsewhere.
        held_out: pairs that the depth was not trained on, and that judge nothing else.
        on: words for these in the manifest.
        out: folder for confidence.safetensors and confidence.json.

    Returns:
        Both forms, the chosen one first.

    Raises:
        FastDepthError: a data set without any truth.
    """
    network.confidence = None
    network.eval()
    before = fingerprint(network)
    generator = torch.Generator().manual_seed(seed)
    features, errors = _samples(network, training, seed)
    judges = _judges(network, held_out)
    heads = {form: _trained(network, form, features, errors, generator) for form in FORMS}
    judged = sorted((_judged(head, *judges) for head in heads.values()), key=lambda each: each.calibrated)
    best = judged[0]
    head = heads[best.form]
    head.rescale(best.factor, best.shift)
    head.calibrated_on = on
    if fingerprint(network) != before:
        raise FastDepthError("the weights of the depth changed while the head of its confidence was trained")
    network.confidence = head.eval()
    out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(network, out / CHECKPOINT)
    figures: dict[str, Any] = {"on": on, "pixels": len(errors), "forms": [vars(each) for each in judged]}
    atomic_write(out / FIGURES, json.dumps(figures, indent=2) + "\n")
    return judged


@torch.inference_mode()
def _maps(network: DepthNetwork, rgb: np.ndarray) -> tuple[list[Tensor], Tensor]:
    """Maps that the head reads, and the logarithm of the depth at half the size: (1, 1, 112, 112)."""
    image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255
    maps = network.maps(image)
    return maps[:MAPS], network.half_depth(maps).clamp(min=SMALLEST_M).log()


def _samples(network: DepthNetwork, datasets: Sequence[Dataset], seed: int) -> tuple[Tensor, Tensor]:
    """Maps at pixels (N, channels) in float16, and the log errors there (N,)."""
    features, errors = [], []
    for number, dataset in enumerate(datasets):
        views, rng = SAMPLES // PER_VIEW, np.random.default_rng([seed, number])
        chosen = rng.permutation(np.resize(np.arange(len(dataset)), max(views, len(dataset))))[:views]
        for index in tqdm(chosen, desc=f"maps of data set {number + 1}", unit="view"):
            pair = of_training_camera(dataset[int(index)])
            options = {"whole": True} if pair.view == WHOLE else {}
            rgb, truth = augment_steady(pair.rgb, pair.depth, TRAINED_INPUT_PX, rng, **options)
            maps, log_depth = _maps(network, rgb)
            known = np.argwhere(truth > 0)
            if not len(known):
                continue
            rows, columns = known[rng.permutation(len(known))[:PER_VIEW]].T
            size = truth.shape[0]
            features.append(
                torch.cat([x[0][:, rows * len(x[0, 0]) // size, columns * len(x[0, 0]) // size] for x in maps]).T.half()
            )
            errors.append(log_depth[0, 0, rows, columns] - torch.from_numpy(np.log(truth[rows, columns])))
    if not features:
        raise FastDepthError("no pair has a truth to learn a confidence from")
    return torch.cat(features), torch.cat(errors).float()


def _judges(network: DepthNetwork, held_out: Dataset) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Maps of each held-out pair as the node sees it, and its log errors at JUDGED_EVERY-th pixels, NaN unknown."""
    maps, errors = [], []
    for index in tqdm(range(len(held_out)), desc="held-out pairs", unit="pair"):
        rgb, truth = of_the_node(of_training_camera(held_out[index]), NetworkInput())
        found, log_depth = _maps(network, rgb)
        known = torch.from_numpy(np.where(truth > 0, truth, np.nan)[::JUDGED_EVERY, ::JUDGED_EVERY])
        maps.append(found)
        errors.append((log_depth[0, 0] - known.log()).float())
    if not maps or not any(torch.isfinite(each).any() for each in errors):
        raise FastDepthError("the held-out pairs have no truth to calibrate a confidence on")
    return maps, errors


def _trained(
    network: DepthNetwork, form: str, features: Tensor, errors: Tensor, generator: torch.Generator
) -> ConfidenceHead:
    """A head on features of zero mean and unit deviation, which are folded into its first convolutions afterwards."""
    mean = features.float().mean(0)
    deviation = features.float().std(0) + 1e-2
    first, last = nn.Linear(features.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    with torch.no_grad():
        for layer in (first, last):
            bound = layer.in_features**-0.5
            for weights in layer.parameters():
                weights.uniform_(-bound, bound, generator=generator)
    head = ConfidenceHead(network.map_channels[:MAPS], form)
    optimizer = torch.optim.AdamW([*first.parameters(), *last.parameters()], RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in tqdm(range(STEPS), desc=f"head: {form}", unit="step"):
        chosen = torch.randint(len(errors), (BATCH,), generator=generator)
        said = last(torch.relu(first((features[chosen].float() - mean) / deviation)))[:, 0]
        loss = head.loss(said, errors[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        weight = first.weight / deviation
        convolutions = [cast(nn.Conv2d, convolution) for convolution in head.first]
        for convolution, part in zip(convolutions, weight.split(network.map_channels[:MAPS], dim=1)):
            convolution.weight.copy_(part[:, :, None, None])
        convolutions[0].get_parameter("bias").copy_(first.bias - weight @ mean)
        head.last.weight.copy_(last.weight[:, :, None, None])
        head.last.get_parameter("bias").copy_(last.bias)
    return head


def _judged(head: ConfidenceHead, maps: list[list[Tensor]], errors: list[Tensor]) -> Judged:
    """Brier scores of a head on held-out pairs, and the factor and shift of the largest likelihood there."""
    with torch.no_grad():
        said_parts, right_parts = [], []
        for each, error in zip(maps, errors):
            said = functional.interpolate(head.said(each), error.shape, mode="nearest")[0, 0]
            known = torch.isfinite(error)
            said_parts.append(said[known])
            right_parts.append((error[known].abs() < log(FACTOR)).float())
    said, right = torch.cat(said_parts), torch.cat(right_parts)
    steps = torch.zeros(2, requires_grad=True)  # logarithm of the factor, which keeps it above 0; shift
    optimizer = torch.optim.LBFGS([steps], max_iter=50)

    def loss() -> Tensor:
        optimizer.zero_grad()
        p = head.probability(steps[0].exp() * said + steps[1]).clamp(1e-6, 1 - 1e-6)
        value = functional.binary_cross_entropy(p, right)
        value.backward()
        return value

    optimizer.step(loss)
    factor, shift = float(steps.detach()[0].exp()), float(steps.detach()[1])
    before, after = (float(((head.probability(z) - right) ** 2).mean()) for z in (said, factor * said + shift))
    return Judged(head.form, before, after, factor, shift)
