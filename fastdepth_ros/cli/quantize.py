"""`fastdepth quantize`: an artifact in int8, fp16 or bf16 too, with the accuracy that it has there."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fastdepth_ros.artifact.artifact import DEFAULT_MODEL, find_artifact
from fastdepth_ros.backends import Backend, BackendOptions
from fastdepth_ros.cli.depth_options import add_field_option
from fastdepth_ros.cli.evaluate import record
from fastdepth_ros.cli.options import tell_notes
from fastdepth_ros.data.datasets import DATASETS, Dataset, open_dataset
from fastdepth_ros.data.synthetic.sequence import room_sequence
from fastdepth_ros.deploy.quantize import ENGINES, REDUCED, quantize_artifact
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import field_of_view
from fastdepth_ros.depth.preprocess import network_input
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.pictures.image_files import read_frame
from fastdepth_ros.train.evaluation import PROTOCOLS, evaluate, mean_figures

ROOMS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help=f"artifact folder or bundled model (default: {DEFAULT_MODEL})")
    parser.add_argument("--to", choices=REDUCED, required=True, help="numeric precision to add")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new artifact; must not exist")
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument("--images", type=Path, metavar="DIR", help="folder of images of your camera to calibrate on")
    frames.add_argument("--bag", metavar="BAG", help="bag or video to calibrate on (default: synthetic rooms)")
    parser.add_argument("--image-topic", default="", help="image topic of the bag (default: that with the most images)")
    parser.add_argument("--frames", type=int, default=32, help="number of frames to calibrate on, evenly spaced")
    add_field_option(parser)
    parser.add_argument("--dataset", help=f"data set to measure the accuracy on: {', '.join(sorted(DATASETS))}")
    parser.add_argument("--root", type=Path, help="folder of that data set")


def run(parsed: argparse.Namespace) -> None:
    if parsed.frames < 1:
        raise FastDepthError(f"--frames is {parsed.frames}, it needs at least 1")
    if (parsed.dataset is None) != (parsed.root is None):
        raise FastDepthError("--dataset and --root belong together")
    dataset = open_dataset(parsed.dataset, parsed.root, "test") if parsed.dataset else None
    tell_notes(dataset)
    source = find_artifact(parsed.model)
    found, told = _frames(parsed)
    frames = [_seen(frame, parsed.field_of_view, source.input_size_px) for frame in found]
    agreement = quantize_artifact(source, parsed.to, parsed.out, frames, told)
    print(
        f"{parsed.out}: {source.name} in {parsed.to} too; on {agreement.frames} frames of {told} it is off from fp32 "
        f"by {agreement.mean_m:.4f} m, by {agreement.p99_m:.4f} m for one pixel in a hundred ({agreement.engine})"
    )
    if dataset is not None:
        _measure(parsed, dataset)


def _frames(parsed: argparse.Namespace) -> tuple[Iterable[Frame], str]:
    """The frames to calibrate on, and what they are."""
    if parsed.images:
        if not parsed.images.is_dir():
            raise FastDepthError(f"no folder {parsed.images}")
        files = sorted(path for path in parsed.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not files:
            raise FastDepthError(f"{parsed.images} holds no jpg or png")
        return (read_frame(files[index]) for index in _spread(len(files), parsed.frames)), parsed.images.name
    if parsed.bag:
        return _recorded(parsed), Path(parsed.bag).name
    rooms = min(ROOMS, parsed.frames)
    counts = [len(part) for part in np.array_split(np.arange(parsed.frames), rooms)]
    drawn = (Frame(frame.rgb) for seed, count in enumerate(counts) for frame in room_sequence(count, seed=seed))
    return tqdm(drawn, total=parsed.frames, unit="frame", desc="draw rooms"), f"{rooms} synthetic rooms"


def _recorded(parsed: argparse.Namespace) -> Iterator[Frame]:
    from fastdepth_ros.view.source import open_source

    with open_source(parsed.bag, parsed.image_topic) as source:
        if source.live:
            raise FastDepthError(f"{parsed.bag} is a camera; record a bag or a video with it")
        wanted = set(_spread(source.total, parsed.frames))
        for index, (_, frame, _) in enumerate(tqdm(source.frames, total=source.total, unit="frame", desc="read")):
            if index in wanted:
                yield frame


def _spread(there: int, wanted: int) -> list[int]:
    return np.unique(np.linspace(0, max(there - 1, 0), wanted).astype(int)).tolist()


def _seen(frame: Frame, field: str, size_px: int) -> np.ndarray:
    return network_input(frame, field_of_view(field, *frame.pixels.shape[:2]), size_px)


def _measure(parsed: argparse.Namespace, dataset: Dataset) -> None:
    """The accuracy of fp32 and of the precision, on the engine that proved it; into the manifest."""
    artifact, delta1 = find_artifact(parsed.out.resolve()), {}
    for precision in ("fp32", parsed.to):
        backend: Backend = artifact.load(ENGINES[parsed.to], BackendOptions(precision=precision))
        rows = evaluate(backend, dataset, PROTOCOLS["authors"], artifact.input_size_px, artifact.trained_focal)
        figures = mean_figures(list(tqdm(rows, total=len(dataset), unit="image", desc=precision)))
        delta1[precision] = figures["delta1"]
        print(f"  {precision}: delta1 {figures['delta1']:.4f}, RMSE {figures['rmse']:.4f} m on {parsed.dataset}")
        record(artifact, precision, f"{parsed.dataset}/test/authors", figures)
        artifact = find_artifact(parsed.out.resolve())
    print(f"  delta1 lost: {delta1['fp32'] - delta1[parsed.to]:.4f}")
