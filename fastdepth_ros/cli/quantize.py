"""`fastdepth quantize`: a copy of an artifact with an int8, fp16 or bf16 model, and the accuracy of that model."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.artifact.artifact import find_artifact, record_accuracy
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.cli.depth_options import add_field_option
from fastdepth_ros.cli.options import (
    add_dataset_options,
    add_image_topic_option,
    add_model_option,
    add_new_artifact_option,
    print_notes,
    require_at_least,
    require_dataset_and_root,
)
from fastdepth_ros.data.datasets import Dataset, open_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_option(parser)
    parser.add_argument("--to", choices=PRECISIONS[1:], required=True, help="numeric precision to add")
    add_new_artifact_option(parser)
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument("--images", type=Path, metavar="DIR", help="folder of images of your camera to calibrate on")
    frames.add_argument("--bag", metavar="BAG", help="bag or video to calibrate on (default: synthetic rooms)")
    add_image_topic_option(parser)
    parser.add_argument("--frames", type=int, default=32, help="number of frames to calibrate on, evenly spaced")
    add_field_option(parser)
    add_dataset_options(parser, "to measure the accuracy on")


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.deploy.quantize import quantize_artifact
    from fastdepth_ros.depth.estimator import network_input
    from fastdepth_ros.depth.geometry import field_of_view
    from fastdepth_ros.view.frame_sample import sample_bag, sample_folder, sample_rooms

    require_at_least(parsed, 1, "frames")
    require_dataset_and_root(parsed)
    dataset = open_dataset(parsed.dataset, parsed.root, "test") if parsed.dataset else None
    print_notes(dataset)
    source = find_artifact(parsed.model)
    if parsed.images:
        found, name = sample_folder(parsed.images, parsed.frames), parsed.images.name
    elif parsed.bag:
        found, name = sample_bag(parsed.bag, parsed.image_topic, parsed.frames), Path(parsed.bag).name
    else:
        found, name = sample_rooms(parsed.frames), "synthetic rooms"
    field = parsed.field_of_view
    frames = [
        network_input(frame, field_of_view(field, *frame.pixels.shape[:2]), source.input_size_px) for frame in found
    ]
    agreement = quantize_artifact(source, parsed.to, parsed.out, frames, name)
    print(
        f"{parsed.out}: {source.name} in {parsed.to} too; on {agreement.frames} frames of {name} it is off from fp32 "
        f"by {agreement.mean_m:.4f} m, by {agreement.p99_m:.4f} m for one pixel in a hundred ({agreement.engine})"
    )
    if dataset is not None:
        _measure(parsed, dataset)


def _measure(parsed: argparse.Namespace, dataset: Dataset) -> None:
    """Measure fp32 and the new precision on the new precision's engine, and write both into the manifest."""
    from fastdepth_ros.deploy.quantize import ENGINES
    from fastdepth_ros.train.evaluation import PROTOCOLS, evaluate, mean_figures

    artifact, delta1 = find_artifact(parsed.out.resolve()), {}
    for precision in ("fp32", parsed.to):
        backend = artifact.load(ENGINES[parsed.to], BackendOptions(precision=precision))
        rows = evaluate(backend, dataset, PROTOCOLS["authors"], artifact.input_size_px, artifact.trained_focal)
        figures = mean_figures(list(tqdm(rows, total=len(dataset), unit="image", desc=precision)))
        delta1[precision] = figures["delta1"]
        print(f"  {precision}: delta1 {figures['delta1']:.4f}, RMSE {figures['rmse']:.4f} m on {parsed.dataset}")
        record_accuracy(artifact, precision, f"{parsed.dataset}/test/authors", figures)
        artifact = find_artifact(parsed.out.resolve())
    print(f"  delta1 lost: {delta1['fp32'] - delta1[parsed.to]:.4f}")
