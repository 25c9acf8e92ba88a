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


def run(parsed: argparse.Namespace) -> None:
    network, _ = load_checkpoint(parsed.checkpoint)
    facts = json.loads(parsed.facts.read_text()) if parsed.facts else {}
    off_m = export_artifact(network, parsed.out, facts)
    print(f"{parsed.out}: ONNX and PyTorch agree to {off_m:.1e} m")
