"""`fastdepth evaluate`: accuracy on a data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.cli.options import MODEL_ERRORS, add_model_options, load_model
from fastdepth_ros.data.datasets import DATASETS, DatasetError, open_dataset
from fastdepth_ros.depth.artifact import write_manifest
from fastdepth_ros.metrics.depth import NAMES, mean_errors
from fastdepth_ros.train.evaluation import PROTOCOLS, evaluate

ERRORS = (DatasetError, ValueError, *MODEL_ERRORS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--dataset", required=True, help=", ".join(DATASETS))
    parser.add_argument("--root", required=True, type=Path, help="folder of the data set")
    parser.add_argument("--split", default="test", help="test (default) or train")
    parser.add_argument(
        "--preprocess", choices=PROTOCOLS, default="authors",
        help="the authors' two nearest resizes (default), or the node's one bilinear",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--record", action="store_true", help="write the figures into the artefact's manifest")


def run(parsed: argparse.Namespace) -> None:
    dataset = open_dataset(parsed.dataset, parsed.root, parsed.split)
    artifact, backend = load_model(parsed)
    errors = evaluate(backend, dataset, PROTOCOLS[parsed.preprocess], artifact.input_size_px)
    figures = mean_errors(tqdm(errors, total=len(dataset), unit="image"))
    if parsed.record:
        key = f"{parsed.dataset}/{parsed.split}/{parsed.preprocess}"
        rounded = {name: round(value, 4) for name, value in figures.items()}
        accuracy = {**artifact.manifest.get("accuracy", {}), key: rounded}
        write_manifest(artifact.folder, {**artifact.manifest, "accuracy": accuracy})
    if parsed.json:
        print(json.dumps(figures))
        return
    print(f"{artifact.name} on {backend.engine}, {parsed.preprocess} preprocessing, {figures['images']} images:")
    print("  ".join(f"{name} {figures[name]:.3f}" for name in NAMES))
