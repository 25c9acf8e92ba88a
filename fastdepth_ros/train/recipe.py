"""A recipe: everything a training run depends on besides its data and its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from fastdepth_ros.errors import FastDepthError

CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("step", "one-cycle"),
    "loss": ("l1", "log-depth"),
    "augmentation": ("authors", "warp", "steady", "mixed"),
}


@dataclass(frozen=True)
class Recipe:
    """Training recipe.

    Args:
        name: title of the recipe.
        epochs, batch: batch counts the pairs of one step over all GPUs.
        optimizer: "sgd" (with `momentum`) or "adamw".
        learning_rate: the first of "step", the peak of "one-cycle".
        schedule: "step" multiplies the rate by `step_factor` every `step_epochs`; "one-cycle" is Smith's.
        loss: "l1" on metric depth, or "log-depth" (`losses.log_depth_loss`).
        augmentation: "authors" (their transforms), or "warp", "steady" and "mixed" (`data.augment`, loss on half the
            grid).
        clip_norm: largest norm of the gradient; 0 does not clip.
        ema_decay: decay of the averaged weights, which are evaluated and saved; 0 uses the weights themselves.
        input_px: side of the network input that it is trained and evaluated at, a multiple of 32.
        encoder_rate: learning rate of the encoder as a share of the others', for one that starts from trained weights.
        repeat: passes of an epoch over the data set, where others join it.
        holdout: share of the training split that only chooses the best checkpoint.
        seed: seed of weights, order and augmentation.
    """

    name: str
    epochs: int
    batch: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    loss: str
    augmentation: str
    momentum: float = 0.9
    step_epochs: int = 5
    step_factor: float = 0.2
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    input_px: int = 224
    encoder_rate: float = 1.0
    repeat: int = 1
    holdout: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise FastDepthError(f"{name} is {getattr(self, name)!r}, it can be {', '.join(allowed)}")
        for name in ("epochs", "batch", "step_epochs", "repeat"):
            if getattr(self, name) < 1:
                raise FastDepthError(f"{name} is {getattr(self, name)}, needs at least 1")
        if self.learning_rate <= 0:
            raise FastDepthError(f"learning_rate is {self.learning_rate}, needs more than 0")
        if self.input_px < 32 or self.input_px % 32:
            raise FastDepthError(f"input_px is {self.input_px}, needs a multiple of 32")
        if self.encoder_rate <= 0:
            raise FastDepthError(f"encoder_rate is {self.encoder_rate}, needs more than 0")
        if not 0 <= self.holdout < 1:
            raise FastDepthError(f"holdout is {self.holdout}, it is a share in [0, 1)")


def recipe_names() -> list[str]:
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe of the package by name, or one in a YAML file.

    Args:
        overrides: fields that replace the recipe's own.

    Raises:
        FastDepthError: unknown name, not YAML, a field missing, unknown, or of the wrong type.
    """
    if name in recipe_names():
        text, where = (_folder() / f"{name}.yaml").read_text(encoding="utf-8"), name
    elif Path(name).is_file():
        text, where = Path(name).read_text(encoding="utf-8"), name
    else:
        raise FastDepthError(f"no recipe {name!r}: there is {', '.join(recipe_names())}, and no such file")
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FastDepthError(f"{where} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise FastDepthError(f"{where} holds no mapping")
    return _build({**loaded, **(overrides or {})}, where)


def _build(values: Mapping[str, Any], where: str) -> Recipe:
    known = {field.name: field for field in fields(Recipe)}
    unknown = set(values) - set(known)
    if unknown:
        raise FastDepthError(f"{where} has unknown fields {', '.join(sorted(unknown))}; there is {', '.join(known)}")
    types = {"int": (int,), "float": (int, float), "str": (str,)}
    for name, value in values.items():
        if not isinstance(value, types[str(known[name].type)]) or isinstance(value, bool):
            raise FastDepthError(f"{where}: {name} is {value!r}, needs {known[name].type}")
    try:
        return Recipe(**values)
    except TypeError as error:  # names the missing fields
        raise FastDepthError(f"{where}: {error}") from error


def _folder() -> Any:
    return files("fastdepth_ros.train") / "recipes"
