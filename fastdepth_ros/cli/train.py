"""`fastdepth train`: train a network from scratch, resuming where a killed run stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.cli.complexity import channels_from
from fastdepth_ros.data.datasets import DATASETS, DatasetError, open_dataset
from fastdepth_ros.train.loop import Recipe, Trainer, TrainingError

ERRORS = (DatasetError, TrainingError, ValueError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help=", ".join(DATASETS))
    parser.add_argument("--root", required=True, type=Path, help="folder of the data set")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run; an unfinished one is resumed")
    parser.add_argument("--channels", default="pruned", help="named channel list or JSON file (default pruned)")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs, help=f"default {Recipe.epochs}")
    parser.add_argument("--batch", type=int, default=Recipe.batch, help=f"default {Recipe.batch}")
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate, help="peak of the one-cycle rate")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="of weights, order and augmentation")


def run(parsed: argparse.Namespace) -> None:
    recipe = Recipe(epochs=parsed.epochs, batch=parsed.batch, learning_rate=parsed.learning_rate, seed=parsed.seed)
    dataset = open_dataset(parsed.dataset, parsed.root, "train")
    print(Trainer(channels_from(parsed.channels), recipe, dataset, parsed.out).run())
