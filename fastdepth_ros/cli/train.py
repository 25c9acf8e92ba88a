"""`fastdepth train`: train a network; a killed run resumes.

`torchrun --nproc-per-node gpu -m -- fastdepth_ros train ...` uses every GPU. The bare `--` keeps torchrun from reading
`--start` as its own option.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fastdepth_ros.cli.options import add_dataset_options, add_training_data_options, number, print_notes
from fastdepth_ros.data.datasets import open_dataset, open_named
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import find_channels
from fastdepth_ros.train.recipe import load_recipe, recipe_names

if TYPE_CHECKING:
    from fastdepth_ros.nn.network import DepthNetwork

OVERRIDES = {"epochs": int, "batch": int, "learning_rate": float, "holdout": float, "seed": int}
PARTS = {  # nn.network.parts(), which needs torch; the first is the default network's
    "encoder": ["mobilenet", "mobilenet_v2", "resnet18", "resnet50", "efficientnet_lite0", "efficientnet_lite1",
                "efficientnet_lite2"],
    "decoder": ["nnconv5", "deconv5", "upconv", "upproj"],
    "kernel": ["depthwise", "standard"],
    "skip": ["add", "none", "concat"],
}  # fmt: skip
PART_TEXTS = {
    "encoder": "encoder of a variant of the network",
    "decoder": "upsampling decoder of a variant",
    "kernel": "convolutions in the decoder of a variant",
    "skip": "skip connections from encoder to decoder of a variant",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset_options(parser, "to train on", required=True)
    add_training_data_options(parser)
    parser.add_argument("--out", required=True, type=Path, help="folder of the run; an unfinished run is resumed")
    parser.add_argument("--recipe", default="strong", help=f"recipe: {', '.join(recipe_names())}, or a YAML file")
    for name, kind in OVERRIDES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"value of {name} in place of the recipe's")
    network = parser.add_argument_group(
        "network", "FastDepth with a list of channel counts, or a variant from the paper's tables"
    )
    text = "channel counts: unpruned, pruned or a JSON file (default: those of --start, else pruned)"
    network.add_argument("--channels", help=text)
    for part, names in PARTS.items():
        network.add_argument(f"--{part}", choices=names, metavar="NAME", help=f"{PART_TEXTS[part]}: {', '.join(names)}")
    text = "checkpoint of this package to start from; fewer --channels keep the largest filters, more add new ones"
    network.add_argument("--start", type=Path, metavar="CKPT", help=text)
    network.add_argument(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="encoder weights trained on ImageNet: the FastDepth authors' imagenet.pth.tar, an .npz of TF-Slim's "
        "MobileNet v1, or the state dict of the classifier that --encoder names",
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="number of processes that read and augment; 0: this process"
    )
    parser.add_argument("--no-check", action="store_true", help="skip the search for corrupt files before training")
    parser.add_argument(
        "--checkpoint-s", type=number, default=300.0, help="seconds between checkpoints within an epoch"
    )
    confidence = parser.add_argument_group(
        "confidence", "a second output of the network --start: how sure the depth of each pixel is; the depth stays as "
        "it is, and the recipe is not used",
    )  # fmt: skip
    confidence.add_argument("--confidence", action="store_true", help="train the head of the confidence, nothing else")
    confidence.add_argument(
        "--head-splits", nargs="+", default=["train"], metavar="SPLIT",
        help="splits of the data set that the head learns from, each with the same weight",
    )  # fmt: skip
    confidence.add_argument(
        "--held-out-split", default="held-out", metavar="SPLIT",
        help="split that the depth was not trained on: it chooses the form of the head and calibrates it",
    )  # fmt: skip
    parser.add_argument("--amp", action="store_true", help="use bfloat16 where it is safe (automatic mixed precision)")


def run(parsed: argparse.Namespace) -> None:
    if parsed.confidence:
        _confidence(parsed)
        return
    from fastdepth_ros.data.check import check_dataset
    from fastdepth_ros.jobs.memory import keep_freed_memory
    from fastdepth_ros.train.trainer import Trainer

    keep_freed_memory()
    overrides = {name: value for name in OVERRIDES if (value := getattr(parsed, name)) is not None}
    recipe = load_recipe(parsed.recipe, overrides)
    dataset = open_dataset(parsed.dataset, parsed.root, "train")
    others = [open_named(each, "train") for each in parsed.also]
    print_notes(dataset, *others)
    if not parsed.no_check:
        for each in (dataset, *others):
            check_dataset(each).require_no_fault()
    trainer = Trainer(
        _network(parsed, recipe.seed), recipe, dataset, parsed.out, others=others,
        workers=parsed.workers, cache=parsed.cache, amp=parsed.amp, checkpoint_s=parsed.checkpoint_s,
    )  # fmt: skip
    print(trainer.run())


def _confidence(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.nn.checkpoints import load_checkpoint
    from fastdepth_ros.train.confidence import CHECKPOINT, train_confidence

    if parsed.start is None:
        raise FastDepthError("--confidence needs a network: give its checkpoint, or its artifact folder, as --start")
    start = parsed.start / "model.safetensors" if parsed.start.is_dir() else parsed.start
    network, _ = load_checkpoint(start)
    training = [open_dataset(parsed.dataset, parsed.root, split) for split in parsed.head_splits]
    training += [open_named(each, "train") for each in parsed.also]
    held_out = open_dataset(parsed.dataset, parsed.root, parsed.held_out_split)
    on = f"{len(held_out)} pairs of {parsed.dataset}, split {parsed.held_out_split}"
    for each in train_confidence(network, training, held_out, on, parsed.out, seed=parsed.seed or 0):
        print(
            f"{each.form}: Brier score {each.brier:.4f}, calibrated {each.calibrated:.4f} "
            f"(factor {each.factor:.3f}, shift {each.shift:+.3f})"
        )
    print(parsed.out / CHECKPOINT)


def _network(parsed: argparse.Namespace, seed: int) -> DepthNetwork:
    from fastdepth_ros.nn.importers.importer import load_imagenet_encoder
    from fastdepth_ros.nn.network import DepthNetwork, FastDepth, initialize
    from fastdepth_ros.prune.surgery import resized_checkpoint

    chosen = {kind: getattr(parsed, kind) for kind in PARTS if getattr(parsed, kind)}
    if parsed.start and (chosen or parsed.pretrained):
        raise FastDepthError("--start brings the network and its weights: it goes with --channels only")
    if chosen and parsed.channels:
        raise FastDepthError(f"--channels are of the default network, not of one with another {', '.join(chosen)}")
    if parsed.start:
        return resized_checkpoint(parsed.start, find_channels(parsed.channels) if parsed.channels else None)
    if chosen:
        network = DepthNetwork.of(**{kind: names[0] for kind, names in PARTS.items()} | chosen)
    else:
        network = FastDepth(find_channels(parsed.channels or "pruned"))
    initialize(network, seed=seed)
    if parsed.pretrained:
        load_imagenet_encoder(network, parsed.pretrained)
    return network
