"""Options that several verbs share."""

from __future__ import annotations

import argparse

from fastdepth_ros.backends import Backend, BackendError, BackendOptions, backend_names
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.depth.artifact import DEFAULT_BACKEND, DEFAULT_MODEL, Artifact, ArtifactError, find_artifact
from fastdepth_ros.depth.golden import GoldenError

MODEL_ERRORS = (ArtifactError, BackendError, GoldenError)
TARGETS = "host, aarch64, tx2-cpu, tx2-gpu, cuda, x86-64-v3, ..., or a JSON file in TVM's words"


def add_target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help=f"artefact folder or bundled name (default {DEFAULT_MODEL})")
    parser.add_argument("--target", default="host", help=f"{TARGETS} (default host)")


def add_device_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--tracker", default="", metavar="HOST:PORT", help="measure on a device there, over RPC")
    parser.add_argument("--key", default="", help="of the device at the tracker")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help=f"artefact folder or bundled name (default {DEFAULT_MODEL})")
    parser.add_argument(
        "--backend", default=DEFAULT_BACKEND, help=f"{', '.join(backend_names())} (default {DEFAULT_BACKEND})"
    )
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0 leaves it to the engine")
    parser.add_argument("--device", default="cpu", help="of the backend: cpu, cuda, ... (default cpu)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the artefact's file (default fp32)")
    parser.add_argument("--power-save", action="store_true", help="few threads, none of which spins; slower")


def load_model(parsed: argparse.Namespace) -> tuple[Artifact, Backend]:
    artifact = find_artifact(parsed.model)
    return artifact, artifact.load(parsed.backend, backend_options(parsed))


def backend_options(parsed: argparse.Namespace) -> BackendOptions:
    return BackendOptions(parsed.threads, parsed.device, parsed.power_save, parsed.precision)


def add_view_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address of this machine to show it at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=9090, help="of the page (default 9090)")
    parser.add_argument("--data-port", type=int, default=9876, help="of the page's data (default 9876)")
    parser.add_argument("--open", action="store_true", help="open the page in this machine's browser")
