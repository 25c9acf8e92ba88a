"""Options that several verbs share."""

from __future__ import annotations

import argparse
import sys

from fastdepth_ros.artifact.artifact import DEFAULT_BACKEND, DEFAULT_MODEL, Artifact, find_artifact
from fastdepth_ros.backends import Backend, BackendOptions, backend_names
from fastdepth_ros.backends.base import PRECISIONS

TARGETS = "host, aarch64, tx2-cpu, tx2-gpu, cuda, x86-64-v3, ..., or a JSON file with TVM's target keys"


def add_target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help=f"artifact folder or bundled model (default: {DEFAULT_MODEL})")
    parser.add_argument("--target", default="host", help=f"processor to build for: {TARGETS}")


def add_device_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--tracker", default="", metavar="HOST:PORT", help="TVM RPC tracker of the device to measure on"
    )
    parser.add_argument("--key", default="", help="device key under which the tracker knows the device")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help=f"artifact folder or bundled model (default: {DEFAULT_MODEL})")
    parser.add_argument(
        "--backend", default=DEFAULT_BACKEND, help=f"engine for the network: {', '.join(backend_names())}"
    )
    parser.add_argument("--threads", type=int, default=0, help="number of engine threads; 0 lets the engine choose")
    parser.add_argument("--device", default="cpu", help="device that the engine runs on: cpu, cuda, ...")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32",
        help="numeric precision of the model file; see `fastdepth quantize`",
    )  # fmt: skip
    parser.add_argument(
        "--power-save", action="store_true", help="let waiting threads sleep: less power, higher latency"
    )


def load_model(parsed: argparse.Namespace) -> tuple[Artifact, Backend]:
    artifact = find_artifact(parsed.model)
    return artifact, artifact.load(parsed.backend, backend_options(parsed))


def backend_options(parsed: argparse.Namespace) -> BackendOptions:
    return BackendOptions(parsed.threads, parsed.device, parsed.power_save, parsed.precision)


def add_view_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="network address that the page is served on")
    parser.add_argument("--port", type=int, default=9090, help="TCP port of the page")
    parser.add_argument("--data-port", type=int, default=9876, help="TCP port of the data stream behind the page")
    parser.add_argument("--open", action="store_true", help="open the page in the browser of this machine")


def tell_notes(*datasets: object) -> None:
    """Print to stderr the notes of data sets, each once."""
    for note in dict.fromkeys(note for dataset in datasets for note in getattr(dataset, "notes", ())):
        print(note, file=sys.stderr)
