"""`fastdepth models`: list, show, verify and import artefacts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fastdepth_ros.backends import BackendOptions, backend_names
from fastdepth_ros.cli.options import MODEL_ERRORS
from fastdepth_ros.depth.artifact import MANIFEST, find_artifact
from fastdepth_ros.share import share_folder


class ImportFileError(Exception):
    """A file that no importer takes."""


ERRORS = (ImportFileError, *MODEL_ERRORS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True)
    verbs.add_parser("list", help="bundled artefacts")
    for action, summary in (("show", "print the manifest"), ("verify", "check sha256 and golden frame per backend")):
        verb = verbs.add_parser(action, help=summary)
        verb.add_argument("model", nargs="?", default="", help="artefact folder or bundled name")
    verb = verbs.add_parser("import", help="a foreign model to an artefact")
    verb.add_argument("file", type=Path, help="FastDepth as .tflite")
    verb.add_argument("--out", type=Path, required=True, help="folder of the artefact, must not exist")


def run(parsed: argparse.Namespace) -> int:
    actions = {"list": _list, "show": _show, "verify": _verify, "import": _import}
    return actions[parsed.action](parsed)


def _list(_: argparse.Namespace) -> int:
    for manifest in sorted((share_folder() / "models").glob(f"*/{MANIFEST}")):
        artifact = find_artifact(manifest.parent.name)
        print(f"{artifact.name:<24}{artifact.manifest['weights']:>12,} weights{artifact.manifest['macs']:>14,} MACs")
    return 0


def _show(parsed: argparse.Namespace) -> int:
    artifact = find_artifact(parsed.model)
    print(json.dumps({name: value for name, value in artifact.manifest.items() if name != "golden"}, indent=2))
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    artifact = find_artifact(parsed.model)
    failed = False
    for name in backend_names():
        try:
            print(f"{name}: {artifact.load(name, BackendOptions()).engine} computes {artifact.name}")
        except MODEL_ERRORS as error:
            failed = True
            print(f"{name}: {error}")
    return int(failed)


def _import(parsed: argparse.Namespace) -> int:
    if parsed.file.suffix != ".tflite":
        raise ImportFileError(f"{parsed.file}: unknown kind of model, .tflite is known")
    from fastdepth_ros.deploy.export import ExportError, export_artifact
    from fastdepth_ros.nn.checkpoints import CheckpointError
    from fastdepth_ros.nn.tflite import import_tflite

    try:
        facts = {"source": parsed.file.name, "licence": "that of the imported file"}
        off_m = export_artifact(import_tflite(parsed.file), parsed.out, facts)
    except (CheckpointError, ExportError) as error:
        raise ImportFileError(str(error)) from error
    print(f"{parsed.out}: ONNX and PyTorch agree to {off_m:.1e} m")
    return 0
