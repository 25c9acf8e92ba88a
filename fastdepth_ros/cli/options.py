"""Options that several verbs share, and checks of their values."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.artifact import DEFAULT_BACKEND, DEFAULT_MODEL
from fastdepth_ros.backends import Backend, BackendOptions, backend_names
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.choice.choice import AUTO, MAX_ACCURACY_LOSS, Choice, Wanted, load_chosen
from fastdepth_ros.data.datasets import DATASETS
from fastdepth_ros.depth.options import OUTPUTS
from fastdepth_ros.errors import FastDepthError

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact

TARGETS = "host, aarch64, tx2-cpu, tx2-gpu, cuda, x86-64-v3, ..., or a JSON file with TVM's target keys"

Options = argparse._ActionsContainer  # a parser or one of its groups


def number(text: str) -> float:
    """Type of an option with a number: NaN and infinity are none."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def add_model_option(options: Options) -> None:
    options.add_argument("--model", default="", help=f"artifact folder or bundled model (default: {DEFAULT_MODEL})")


def add_backend_option(options: Options, default: str = DEFAULT_BACKEND) -> None:
    """Option of the engine.

    Args:
        default: the engine where none is named: a backend, AUTO, or "" for `Artifact.default_backend`.
    """
    meaning = {
        AUTO: "; auto: the fastest, see `fastdepth choose`",
        "": f" (default: {DEFAULT_BACKEND}, or what the model has a file for)",
    }
    text = f"engine for the network: {', '.join(backend_names())}{meaning.get(default, '')}"
    options.add_argument("--backend", default=default, help=text)


def add_model_options(options: Options, *, auto: bool = False) -> None:
    """Model, engine and the engine's settings; `load_model` reads them.

    Args:
        auto: the engine and the precision are chosen where they are not named.
    """
    add_model_option(options)
    add_backend_option(options, AUTO if auto else "")
    options.add_argument("--threads", type=int, default=0, help="number of engine threads; 0 lets the engine choose")
    options.add_argument("--device", default="cpu", help="device that the engine runs on: cpu, cuda, ...")
    text = "numeric precision of the model file; see `fastdepth quantize`"
    if auto:
        text += "; auto: fp32, or with --backend auto what costs no more accuracy than --max-accuracy-loss"
        loss = "largest loss of delta1 that --precision auto accepts"
        options.add_argument("--max-accuracy-loss", type=number, default=MAX_ACCURACY_LOSS, metavar="D", help=loss)
    precisions = (AUTO, *PRECISIONS) if auto else PRECISIONS
    options.add_argument("--precision", choices=precisions, default=precisions[0], help=text)
    text = "let waiting threads sleep: less power, higher latency"
    options.add_argument("--power-save", action="store_true", help=text)


def load_model(parsed: argparse.Namespace) -> tuple[Artifact, Backend]:
    """The artifact, and the engine that was named; where one may be chosen, `load_chosen_model`."""
    from fastdepth_ros.artifact.artifact import find_artifact

    artifact = find_artifact(parsed.model)
    return artifact, artifact.load(parsed.backend, backend_options(parsed))


def load_chosen_model(parsed: argparse.Namespace) -> tuple[Artifact, Choice, Backend]:
    from fastdepth_ros.artifact.artifact import find_artifact

    artifact = find_artifact(parsed.model)
    return artifact, *load_chosen(artifact, wanted_engine(parsed))


def wanted_engine(parsed: argparse.Namespace) -> Wanted:
    """Limits of the choice given by `add_model_options` with `auto`."""
    options = BackendOptions(parsed.threads, parsed.device, parsed.power_save)
    return Wanted(parsed.backend, options, parsed.precision, parsed.max_accuracy_loss)


def backend_options(parsed: argparse.Namespace) -> BackendOptions:
    return BackendOptions(parsed.threads, parsed.device, parsed.power_save, parsed.precision)


def add_target_options(options: Options) -> None:
    add_model_option(options)
    options.add_argument("--target", default="host", help=f"processor to build for: {TARGETS}")


def add_device_options(options: Options) -> None:
    text = "TVM RPC tracker of the device to measure on"
    options.add_argument("--tracker", default="", metavar="HOST:PORT", help=text)
    options.add_argument("--key", default="", help="device key under which the tracker knows the device")


def add_view_options(options: Options) -> None:
    options.add_argument("--host", default="127.0.0.1", help="network address that the page is served on")
    options.add_argument("--port", type=int, default=9090, help="TCP port of the page")
    options.add_argument("--data-port", type=int, default=9876, help="TCP port of the data stream behind the page")
    options.add_argument("--open", action="store_true", help="open the page in the browser of this machine")


def view_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `LiveView` given by `add_view_options`."""
    return {"host": parsed.host, "web_port": parsed.port, "data_port": parsed.data_port}


def print_address(url: str, parsed: argparse.Namespace) -> None:
    """Print the address of a page, and open it with ``--open``; nothing for a window, whose address is ""."""
    if url:
        print(f"open {url}", flush=True)
        if parsed.open:
            webbrowser.open(url)


def add_image_topic_option(options: Options) -> None:
    text = "image topic of the bag (default: the one with the most images that are not depth)"
    options.add_argument("--image-topic", default="", help=text)


def add_output_size_option(options: Options) -> None:
    text = "size of the depth image: of the network input (224x224) or of the camera's frames"
    options.add_argument("--output-size", choices=OUTPUTS, default="network", help=text)


def add_camera_info_option(options: Options, sensor: str = "", of: str = "camera") -> None:
    """``--camera-info-topic``, or ``--SENSOR-camera-info-topic``; `of` says whose it is."""
    name = f"{sensor}-camera-info-topic" if sensor else "camera-info-topic"
    text = f"CameraInfo topic of the {of} (default: camera_info beside its {sensor or 'image'} topic)"
    options.add_argument(f"--{name}", default="", help=text)


def add_tolerance_option(options: Options, name: str = "--tolerance") -> None:
    text = "largest difference between the stamps of image and truth, in seconds"
    options.add_argument(name, type=number, default=0.02, metavar="S", help=text)


def add_golden_tolerance_option(options: Options) -> None:
    text = "largest difference from the golden depth in meters (default: the manifest's)"
    options.add_argument("--tolerance", type=number, metavar="M", help=text)


def add_time_options(options: Options) -> None:
    options.add_argument("--start", type=number, default=0.0, metavar="S", help="first second of the recording to use")
    text = "second of the recording to stop at (default: the end)"
    options.add_argument("--end", type=number, metavar="S", help=text)


def add_dataset_options(options: Options, purpose: str, default: str | None = None, *, required: bool = False) -> None:
    """``--dataset`` and ``--root``; `purpose` is what the data set is for: "to train on"."""
    text = f"data set {purpose}: {', '.join(sorted(DATASETS))}"
    options.add_argument("--dataset", required=required, default=default, help=text)
    options.add_argument("--root", required=required, type=Path, help="folder of the data set")


def add_training_data_options(options: Options) -> None:
    text = "further data set to train on; may be repeated"
    options.add_argument("--also", action="append", default=[], metavar="DATASET=FOLDER", help=text)
    options.add_argument("--cache", action="store_true", help="keep decoded pairs in memory: 2 MB each at 640x480")


def require_dataset_and_root(parsed: argparse.Namespace) -> None:
    """Raise FastDepthError where one of ``--dataset`` and ``--root`` is given without the other."""
    if (parsed.dataset is None) != (parsed.root is None):
        raise FastDepthError("--dataset and --root belong together")


def add_new_artifact_option(options: Options) -> None:
    options.add_argument("--out", type=Path, required=True, help="folder of the new artifact; must not exist")


def add_data_folder_option(options: Options) -> None:
    text = "folder to write the data set to; an unfinished one is resumed"
    options.add_argument("--out", required=True, type=Path, help=text)


def add_json_option(options: Options, what: str = "the results") -> None:
    options.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_force_option(options: Options) -> None:
    options.add_argument("--force", action="store_true", help="overwrite existing files")


def require_new(paths: Iterable[Path], parsed: argparse.Namespace) -> None:
    """Raise FastDepthError where one of the files exists and ``--force`` is not given."""
    existing = [str(path) for path in paths if path.exists()]
    if existing and not parsed.force:
        raise FastDepthError(f"{', '.join(existing[:3])} exists; choose another --out, or --force")


def require_at_least(parsed: argparse.Namespace, least: int, *names: str) -> None:
    """Raise FastDepthError where one of the options is below `least`."""
    for name in names:
        if (value := getattr(parsed, name)) < least:
            raise FastDepthError(f"--{name.replace('_', '-')} is {value}, needs at least {least}")


def require_suffix(path: Path, suffix: str, what: str) -> None:
    """Raise FastDepthError where a file has another suffix."""
    if path.suffix != suffix:
        raise FastDepthError(f"{path}: the {what} is written as {suffix}")


def print_notes(*datasets: object) -> None:
    """Print the notes of data sets to stderr, each once."""
    for note in dict.fromkeys(note for dataset in datasets for note in getattr(dataset, "notes", ())):
        print(note, file=sys.stderr)
