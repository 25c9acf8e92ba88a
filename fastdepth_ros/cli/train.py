"""`fastdepth train`: train a network; a killed run resumes.

`torchrun --nproc-per-node gpu -m -- fastdepth_ros train ...` takes every GPU; without the bare `--`, torchrun takes our
`--start` for one of its own options.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.cli.complexity import channels_from
from fastdepth_ros.cli.options import tell_notes
from fastdepth_ros.data.check import check_dataset
from fastdepth_ros.data.datasets import DATASETS, open_dataset, open_named
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint
from fastdepth_ros.nn.fastdepth import FastDepth, initialize
from fastdepth_ros.nn.importers.importer import load_imagenet_encoder
from fastdepth_ros.nn.network import DepthNetwork, parts
from fastdepth_ros.prune.surgery import slimmed, widened
from fastdepth_ros.train.memory import keep_freed_memory
from fastdepth_ros.train.recipe import load_recipe, recipe_names
from fastdepth_ros.train.trainer import Trainer

OVERRIDES = {"epochs": int, "batch": int, "learning_rate": float, "holdout": float, "seed": int}

PAPER_PARTS = {"encoder": "mobilenet", "decoder": "nnconv5", "kernel": "depthwise", "skip": "add"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help=f"data set to train on: {', '.join(sorted(DATASETS))}")
    parser.add_argument("--root", required=True, type=Path, help="folder of the data set")
    parser.add_argument(
        "--also", action="append", default=[], metavar="DATASET=FOLDER",
        help="further data set to train on; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, help="folder of the run; an unfinished run is resumed")
    parser.add_argument("--recipe", default="strong", help=f"recipe: {', '.join(recipe_names())}, or a YAML file")
    for name, kind in OVERRIDES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"replacement for {name} of the recipe")
    network = parser.add_argument_group(
        "network", "FastDepth with a list of channel counts, or a variant from the paper's tables"
    )
    network.add_argument("--channels", help="unpruned, pruned or a JSON file (default: as --start, else pruned)")
    for part, names in parts().items():
        network.add_argument(f"--{part}", choices=names, help=f"{part} of a variant of the network")
    network.add_argument(
        "--start", type=Path, metavar="CKPT",
        help="checkpoint of this package to start from; fewer --channels keep the largest filters, more add new ones",
    )  # fmt: skip
    network.add_argument(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="encoder weights trained on ImageNet: the FastDepth authors' imagenet.pth.tar, an .npz of TF-Slim's "
        "MobileNet v1, or the state dict of the classifier that --encoder names",
    )
    parser.add_argument("--workers", type=int, default=0, help="number of processes that read and augment")
    parser.add_argument("--cache", action="store_true", help="keep decoded pairs in memory: 2 MB each at 640x480")
    parser.add_argument("--no-check", action="store_true", help="skip the search for corrupt files before training")
    parser.add_argument("--checkpoint-s", type=float, default=300.0, help="seconds between checkpoints within an epoch")
    parser.add_argument("--amp", action="store_true", help="use bfloat16 where it is safe (automatic mixed precision)")


def run(parsed: argparse.Namespace) -> None:
    overrides = {name: value for name in OVERRIDES if (value := getattr(parsed, name)) is not None}
    recipe = load_recipe(parsed.recipe, overrides)
    keep_freed_memory()
    dataset = open_dataset(parsed.dataset, parsed.root, "train")
    others = [open_named(each, "train") for each in parsed.also]
    tell_notes(dataset, *others)
    if not parsed.no_check:
        for each in (dataset, *others):
            check_dataset(each).require_no_fault()
    trainer = Trainer(
        _network(parsed, recipe.seed), recipe, dataset, parsed.out, others=others,
        workers=parsed.workers, cache=parsed.cache, amp=parsed.amp, checkpoint_s=parsed.checkpoint_s,
    )  # fmt: skip
    print(trainer.run())


def _network(parsed: argparse.Namespace, seed: int) -> DepthNetwork:
    chosen = {kind: getattr(parsed, kind) for kind in parts() if getattr(parsed, kind)}
    if parsed.start and (chosen or parsed.pretrained):
        raise FastDepthError("--start brings the network and its weights: it goes with --channels only")
    if chosen and parsed.channels:
        raise FastDepthError(f"--channels are of the default network, not of one with another {', '.join(chosen)}")
    if parsed.start:
        return _started(parsed.start, channels_from(parsed.channels) if parsed.channels else None)
    network = (
        DepthNetwork.of(**PAPER_PARTS | chosen) if chosen else FastDepth(channels_from(parsed.channels or "pruned"))
    )
    initialize(network, seed=seed)
    if parsed.pretrained:
        load_imagenet_encoder(network, parsed.pretrained)
    return network


def _started(checkpoint: Path, channels: Channels | None) -> DepthNetwork:
    network, _ = load_checkpoint(checkpoint)
    if channels is None:
        return network
    if not isinstance(network, FastDepth):
        raise CheckpointError(f"{checkpoint} is another variant than FastDepth, it has no list of --channels")
    counts = [(*each.encoder, *each.decoder) for each in (channels, network.channels)]
    grows = any(new > old for new, old in zip(*counts))
    return (widened if grows else slimmed)(network, channels)
