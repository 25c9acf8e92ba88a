"""`fastdepth export`: an artifact from a checkpoint, or a plain network for the compilers of accelerators."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.artifact import DEFAULT_MODEL
from fastdepth_ros.cli.calibration_frames import add_calibration_options, calibration_frames
from fastdepth_ros.cli.options import add_new_artifact_option
from fastdepth_ros.errors import FastDepthError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="?", default="",
        help="safetensors file that `fastdepth train` wrote; with --plain the artifact folder or bundled model "
        f"(default: {DEFAULT_MODEL})",
    )  # fmt: skip
    add_new_artifact_option(parser)
    parser.add_argument("--facts", type=Path, help="JSON file with more manifest fields: training data, license, terms")
    text = "write float16 weights and no ONNX file, for training or pruning"
    parser.add_argument("--half", action="store_true", help=text)
    text = "write a float32 NCHW network of opset 13, frames to calibrate on and a golden pair, for accelerators"
    parser.add_argument("--plain", action="store_true", help=text)
    add_calibration_options(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.deploy.export import export_artifact
    from fastdepth_ros.jobs.atomic_io import read_json
    from fastdepth_ros.nn.checkpoints import load_checkpoint

    if parsed.plain:
        _plain(parsed)
        return
    if not parsed.source or parsed.images or parsed.bag:
        raise FastDepthError("name the checkpoint to export; without one, and with --images or --bag, give --plain")
    network, _ = load_checkpoint(Path(parsed.source))
    facts = read_json(parsed.facts) if parsed.facts else {}
    off_m = export_artifact(network, parsed.out, facts, half=parsed.half)
    print(f"{parsed.out}: {'float16 changes' if parsed.half else 'ONNX and PyTorch agree to'} {off_m:.1e} m")


def _plain(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.deploy.plain import INTERFACE, OPSET, export_plain
    from fastdepth_ros.jobs.atomic_io import read_json

    if parsed.half or parsed.facts:
        raise FastDepthError("--half and --facts are for a checkpoint, --plain is for an artifact; leave one out")
    source = find_artifact(parsed.source)
    frames, name = calibration_frames(parsed, source)
    off_m = export_plain(source, parsed.out, frames)
    opset = read_json(parsed.out / INTERFACE)["opset"]
    kept = "" if opset == OPSET else f", whose operators need opset {opset}"
    proof = f"equal to the artifact to {off_m:.1e} m"
    print(f"{parsed.out}: plain {source.name}{kept}, {proof}; {len(frames)} frames of {name}")
