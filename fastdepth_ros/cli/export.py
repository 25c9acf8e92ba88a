"""`fastdepth export`: an artifact from a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.cli.options import add_new_artifact_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="safetensors file that `fastdepth train` wrote")
    add_new_artifact_option(parser)
    parser.add_argument("--facts", type=Path, help="JSON file with more manifest fields: training data, license, terms")
    text = "write float16 weights and no ONNX file, for training or pruning"
    parser.add_argument("--half", action="store_true", help=text)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.deploy.export import export_artifact
    from fastdepth_ros.jobs.atomic_io import read_json
    from fastdepth_ros.nn.checkpoints import load_checkpoint

    network, _ = load_checkpoint(parsed.checkpoint)
    facts = read_json(parsed.facts) if parsed.facts else {}
    off_m = export_artifact(network, parsed.out, facts, half=parsed.half)
    print(f"{parsed.out}: {'float16 changes' if parsed.half else 'ONNX and PyTorch agree to'} {off_m:.1e} m")
