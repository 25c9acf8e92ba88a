"""`fastdepth quantize`: a copy of an artifact with an int8, fp16 or bf16 model, and the accuracy of that model."""

from __future__ import annotations

import argparse

from tqdm import tqdm

from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.cli.calibration_frames import add_calibration_options, calibration_frames
from fastdepth_ros.cli.options import (
    add_dataset_options,
    add_model_option,
    add_new_artifact_option,
    print_notes,
    require_dataset_and_root,
)
from fastdepth_ros.data.datasets import Dataset, open_dataset

FLOAT_CONVOLUTIONS = 7  # the first one, and three depthwise separable blocks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_option(parser)
    parser.add_argument("--to", choices=PRECISIONS[1:], required=True, help="numeric precision to add")
    add_new_artifact_option(parser)
    text = f"number of convolutions from the input on that int8 leaves in float32 (default: {FLOAT_CONVOLUTIONS})"
    parser.add_argument("--float-convolutions", type=int, default=FLOAT_CONVOLUTIONS, metavar="N", help=text)
    add_calibration_options(parser)
    add_dataset_options(parser, "to measure the accuracy on")


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.deploy.quantize import quantize_artifact, require_new

    require_dataset_and_root(parsed)
    dataset = open_dataset(parsed.dataset, parsed.root, "test") if parsed.dataset else None
    print_notes(dataset)
    source = find_artifact(parsed.model)
    require_new(parsed.to, parsed.out)
    frames, name = calibration_frames(parsed, source)
    agreement = quantize_artifact(source, parsed.to, parsed.out, frames, name, parsed.float_convolutions)
    print(
        f"{parsed.out}: {source.name} in {parsed.to} too; on {agreement.frames} frames of {name} it is off from fp32 "
        f"by {agreement.mean_m:.4f} m, by {agreement.p99_m:.4f} m for one pixel in a hundred ({agreement.engine})"
    )
    if dataset is not None:
        _measure(parsed, dataset)


def _measure(parsed: argparse.Namespace, dataset: Dataset) -> None:
    """Measure fp32 and the new precision on the new precision's engine, and write both into the manifest."""
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.artifact.record import record_accuracy
    from fastdepth_ros.deploy.quantize import ENGINES
    from fastdepth_ros.train.evaluation import PROTOCOLS, default_protocol, evaluate, mean_figures

    artifact, delta1 = find_artifact(parsed.out.resolve()), {}
    protocol = default_protocol(artifact.network.input)
    for precision in ("fp32", parsed.to):
        backend = artifact.load(ENGINES[parsed.to], BackendOptions(precision=precision))
        rows = evaluate(backend, dataset, PROTOCOLS[protocol], artifact.network)
        figures = mean_figures(list(tqdm(rows, total=len(dataset), unit="image", desc=precision)))
        delta1[precision] = figures["delta1"]
        print(f"  {precision}: delta1 {figures['delta1']:.4f}, RMSE {figures['rmse']:.4f} m on {parsed.dataset}")
        record_accuracy(artifact, precision, f"{parsed.dataset}/test/{protocol}", figures)
        artifact = find_artifact(parsed.out.resolve())
    print(f"  delta1 lost: {delta1['fp32'] - delta1[parsed.to]:.4f}")
