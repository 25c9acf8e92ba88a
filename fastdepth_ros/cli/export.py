"""`fastdepth export`: checkpoint to artefact."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fastdepth_ros.deploy.export import ExportError, export_artifact
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint

ERRORS = (CheckpointError, ExportError, ValueError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="safetensors that `fastdepth train` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the artefact, must not exist")
    parser.add_argument("--facts", type=Path, help="JSON object for the manifest: training data, licence, terms")
    parser.add_argument("--half", action="store_true", help="float16 kernels and no ONNX, to be pruned or trained on")


def run(parsed: argparse.Namespace) -> None:
    network, _ = load_checkpoint(parsed.checkpoint)
    facts = json.loads(parsed.facts.read_text()) if parsed.facts else {}
    off_m = export_artifact(network, parsed.out, facts, half=parsed.half)
    print(f"{parsed.out}: {'float16 changes' if parsed.half else 'ONNX and PyTorch agree to'} {off_m:.1e} m")
