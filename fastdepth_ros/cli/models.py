"""`fastdepth models`: list, show, verify, import, complete and fetch artifacts."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.artifact.catalog import Entry, find_entry, read_catalog
from fastdepth_ros.backends import BackendOptions, NotInstalledError, backend_names
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.cli.import_model import add_import_options, import_as_is, import_onnx
from fastdepth_ros.cli.options import (
    add_dataset_options,
    add_golden_tolerance_option,
    add_model_option,
    add_new_artifact_option,
    require_dataset_and_root,
)
from fastdepth_ros.data.datasets import Dataset, open_dataset
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.share import share_folder

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact

DELTA1_BELOW = 0.02  # how far below the published delta1 a fetched model may be


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True)
    catalog = argparse.ArgumentParser(add_help=False)
    catalog.add_argument(
        "--catalog", "--catalogue", type=Path, help="JSON list of published models (default: the package's)"
    )
    verbs.add_parser("list", help="list bundled artifacts and published models", parents=[catalog])
    for action, summary in (
        ("show", "print the manifest of an artifact"),
        ("verify", "check an artifact: sha256 of its files, golden frame on each backend"),
    ):
        verb = verbs.add_parser(action, help=summary)
        verb.add_argument("model", nargs="?", default="", help="artifact folder or name of a bundled model")
    text = "depth that another runtime computed from golden_input.npy of `fastdepth export --plain`, to check instead"
    verb.add_argument("--against", type=Path, metavar="NPY", help=text)
    add_golden_tolerance_option(verb)
    out = argparse.ArgumentParser(add_help=False)
    add_new_artifact_option(out)
    verb = verbs.add_parser("import", help="convert a model of another project to an artifact", parents=[out])
    verb.add_argument(
        "file", type=Path,
        help="model file: any depth network as .onnx; FastDepth as .tflite, .safetensors of this package, or written "
        "by torch.save (.pth, .pth.tar, .pt, .pkl)",
    )  # fmt: skip
    add_import_options(verb)
    text = "copy an artifact and add a model file that another tool made of its network"
    verb = verbs.add_parser("add", help=text, parents=[out])
    verb.add_argument("file", type=Path, help="model file in the format of the backend: .tflite for litert")
    add_model_option(verb)
    verb.add_argument("--backend", required=True, help=f"engine that runs the file: {', '.join(backend_names())}")
    verb.add_argument("--precision", choices=PRECISIONS, default="fp32", help="numeric precision of the file")
    add_golden_tolerance_option(verb)
    verb = verbs.add_parser(
        "fetch", help="download a published model and convert it to an artifact", parents=[out, catalog]
    )
    verb.add_argument("name", help="name in `fastdepth models list`; the downloaded file is kept beside the artifact")
    add_dataset_options(verb, "to check the published delta1 on")


def run(parsed: argparse.Namespace) -> int:
    actions = {"list": _list, "show": _show, "verify": _verify, "import": _import, "add": _add, "fetch": _fetch}
    return actions[parsed.action](parsed)


def _list(parsed: argparse.Namespace) -> int:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.artifact.manifest import MANIFEST

    for manifest in sorted((share_folder() / "models").glob(f"*/{MANIFEST}")):
        artifact = find_artifact(manifest.parent.name)
        print(f"{artifact.name:<24}{artifact.manifest['weights']:>12,} weights{artifact.manifest['macs']:>14,} MACs")
    print("to be had with `fastdepth models fetch NAME --out DIR`:")
    for entry in read_catalog(parsed.catalog):
        print(f"{entry.name:<36}delta1 {entry.accuracy['delta1']:.3f}  {entry.licence}")
    return 0


def _show(parsed: argparse.Namespace) -> int:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.artifact.record import manifest_text

    artifact = find_artifact(parsed.model)
    print(manifest_text(_without_golden(artifact.manifest)))
    return 0


def _without_golden(facts: Any) -> Any:
    if not isinstance(facts, dict):
        return facts
    return {name: _without_golden(value) for name, value in facts.items() if name != "golden"}


def _verify(parsed: argparse.Namespace) -> int:
    from fastdepth_ros.artifact.artifact import find_artifact

    artifact = find_artifact(parsed.model)
    if parsed.against:
        return _verify_against(parsed.against, artifact, parsed.tolerance)
    failed, ran = False, False
    for precision in PRECISIONS:
        for name in backend_names(artifact.formats(precision)):
            try:
                engine = artifact.load(name, BackendOptions(precision=precision)).engine
                ran = True
                print(f"{name}: {engine} computes {artifact.name}")
            except NotInstalledError as error:  # no failure of the artifact
                print(f"{name}: {error}")
            except FastDepthError as error:
                failed = True
                print(f"{name}: {error}")
    return int(failed or not ran)


def _verify_against(path: Path, artifact: Artifact, tolerance_m: float | None) -> int:
    from fastdepth_ros.artifact.golden import golden_difference
    from fastdepth_ros.artifact.record import read_depth

    if "golden" not in artifact.manifest:
        raise FastDepthError(f"the manifest of {artifact.name} has no golden depth in fp32 to compare with")
    found = golden_difference(read_depth(path, artifact.depth_shape), artifact.manifest["golden"])
    allowed_m = found.tolerance_m if tolerance_m is None else tolerance_m
    is_same = found.is_allowed(tolerance_m)
    print(
        f"{path}: {'computes' if is_same else 'does not compute'} {artifact.name}: off from its golden depth by "
        f"{found.mean_m:.4f} m on average and {found.largest_m:.4f} m at most, {allowed_m} m is allowed; "
        f"its median is {found.median_ratio:.3f} of the golden one"
    )
    return int(not is_same)


def _import(parsed: argparse.Namespace) -> int:
    if parsed.as_is:
        return import_as_is(parsed)
    if parsed.file.suffix == ".onnx":
        return import_onnx(parsed)
    from fastdepth_ros.artifact.artifact import sha256_of
    from fastdepth_ros.deploy.export import export_artifact
    from fastdepth_ros.nn.importers.importer import import_network

    network = import_network(parsed.file)
    facts = {"source": parsed.file.name, "source_sha256": sha256_of(parsed.file)}
    _print_export(parsed.out, export_artifact(network, parsed.out, {**facts, "licence": "that of the imported file"}))
    return 0


def _add(parsed: argparse.Namespace) -> int:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.deploy.foreign_file import add_file

    source = find_artifact(parsed.model)
    found = add_file(source, parsed.file, parsed.backend, parsed.precision, parsed.out, parsed.tolerance)
    print(
        f"{parsed.out}: {source.name} with {parsed.file.name} for {parsed.backend} too; off from its golden depth by "
        f"{found.mean_m:.4f} m on average and {found.largest_m:.4f} m at most"
    )
    return 0


def _fetch(parsed: argparse.Namespace) -> int:
    entry = find_entry(parsed.name, read_catalog(parsed.catalog))
    from fastdepth_ros.deploy.fetch import fetch_artifact

    if parsed.out.exists():
        raise FastDepthError(f"{parsed.out} exists; choose another folder or remove it")
    require_dataset_and_root(parsed)
    dataset = open_dataset(parsed.dataset, parsed.root, "test") if parsed.dataset else None
    path = parsed.out.parent / entry.file_name
    _print_export(parsed.out, fetch_artifact(entry, path, parsed.out))
    if dataset is not None:
        _check_delta1(parsed.out, dataset, entry, path)
    return 0


def _print_export(out: Path, off_m: float) -> None:
    print(f"{out}: ONNX and PyTorch agree to {off_m:.1e} m")


def _check_delta1(out: Path, dataset: Dataset, entry: Entry, path: Path) -> None:
    """Remove the artifact and the file where the model is worse than published."""
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.metrics.depth import mean_errors
    from fastdepth_ros.train.evaluation import PROTOCOLS, evaluate

    artifact = find_artifact(out)
    protocol = PROTOCOLS["authors"]
    images = evaluate(artifact.load(), dataset, protocol, artifact.network)
    errors = [image.errors for image in images]
    found, published = mean_errors(errors)["delta1"], entry.accuracy["delta1"]
    if found < published - DELTA1_BELOW:
        shutil.rmtree(out)
        path.unlink()
        raise FastDepthError(f"{entry.name} has delta1 {found:.3f} here, {published:.3f} was published; removed it")
    print(f"{entry.name}: delta1 {found:.3f}, {published:.3f} was published ({entry.accuracy['set']})")
