"""Model files that other tools made: added to the artifact of the network that they compute, or as an artifact."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros import __version__
from fastdepth_ros.artifact.artifact import Artifact, file_key, find_artifact, sha256_of
from fastdepth_ros.artifact.golden import GoldenDifference, golden_difference, golden_outputs  # fmt: skip
from fastdepth_ros.artifact.manifest import VERSION
from fastdepth_ros.artifact.record import TOLERANCE_M, golden_record, write_manifest  # fmt: skip
from fastdepth_ros.backends import BackendOptions, backend_class
from fastdepth_ros.backends.litert import LiteRtBackend, Port, open_tflite
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder

LARGEST_BYTES = 2**31  # what a TFLite file can hold, whose offsets have 32 bits, and an ONNX file


def add_file(
    source: Artifact, file: Path, backend: str, precision: str, out: Path, tolerance_m: float | None = None
) -> GoldenDifference:
    """Write `out`: all that `source` has, and a file that another tool made of its network. All or nothing.

    Args:
        source: has the golden depth of the network in fp32.
        backend: backend that runs the file.
        precision: numeric precision of the file, one of PRECISIONS.
        out: a folder that does not exist yet.
        tolerance_m: largest difference from the golden depth; None: the manifest's.

    Returns:
        Difference from the golden depth.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: no such file, the source has one of that format and precision, or the backend cannot run it or
            computes another depth.
    """
    cls = backend_class(backend)
    key = file_key(cls.model_format, precision)
    if key in source.manifest["files"]:
        raise FastDepthError(f"{source.folder} has a {key} file already", "add to an artifact without one")
    if "golden" not in source.manifest:
        raise FastDepthError(f"{source.folder} has no golden depth in fp32 to compare with")
    with atomic_folder(out) as building:
        for each in source.manifest["files"]:
            shutil.copy(source.verified(each), building)
        files = {**source.manifest["files"], key: _copied(file, building, f"model.{precision}{file.suffix}")}
        manifest = {**source.manifest, "name": out.name, "files": files}
        write_manifest(building, manifest)
        added = find_artifact(building)
        engine = added.load(backend, BackendOptions(precision=precision))
        found = golden_difference(golden_outputs(engine, added.network).depth, manifest["golden"])
        if not found.is_allowed(tolerance_m):
            allowed_m = found.tolerance_m if tolerance_m is None else tolerance_m
            raise FastDepthError(
                f"{engine.engine} is off by {found.largest_m:.4f} m on the golden frame, {allowed_m} m is "
                f"allowed: {file} does not compute {source.name}",
                "a larger --tolerance accepts it",
            )
        if precision != "fp32":
            record = {**golden_record(engine, added.network), "tolerance_m": max(TOLERANCE_M, found.largest_m)}
            known = source.manifest.get("precisions", {})
            write_manifest(building, {**manifest, "precisions": {**known, precision: {"golden": record}}})
    return found


def import_tflite(file: Path, out: Path, fields: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Write `out`: an artifact that runs a .tflite file as it is, in backend litert. All or nothing.

    Args:
        file: model of one image (1, height, width, 3) and one depth; float32, or bytes with their scales.
        out: a folder that does not exist yet.
        fields: fields of the manifest: licence, focal, input and outputs; their sizes are those of the file.
        facts: facts that are not in the file: `mean` and `std` of its pixels, `channels` where its order is bgr,
            `reciprocal` where it gives inverse depth.

    Returns:
        Numeric precision of the file: "fp32" or "int8".

    Raises:
        FileExistsError: `out` exists.
        BackendError: LiteRT is not installed, or cannot run the file.
        FastDepthError: no such file, or a depth that is constant or not finite.
    """
    with atomic_folder(out) as building:
        entry = {**_copied(file, building, "model.tflite"), **facts}
        image, depth = read_tflite(file)
        interpreter = open_tflite(building / entry["file"], 1)[0]
        bytes_of = [tensor for tensor in interpreter.get_tensor_details() if np.dtype(tensor["dtype"]).itemsize == 1]
        precision = "int8" if any(len(tensor["quantization_parameters"]["scales"]) for tensor in bytes_of) else "fp32"
        sizes = [dict(zip(("height_px", "width_px"), port.shape[1:3])) for port in (image, depth)]
        manifest = {
            "source": file.name, **fields, "version": VERSION, "name": out.name, "source_sha256": entry["sha256"],
            "input": {**fields["input"], **sizes[0]}, "outputs": {"depth": {**fields["outputs"]["depth"], **sizes[1]}},
            "files": {file_key(LiteRtBackend.model_format, precision): entry},
            "made_with": {"fastdepth_ros": __version__},
        }  # fmt: skip
        write_manifest(building, manifest)
        artifact = find_artifact(building)
        engine = artifact.load("litert", BackendOptions(precision=precision))
        golden = _golden(engine, artifact, depth.scale)
        golden_of = {"golden": golden} if precision == "fp32" else {"precisions": {precision: {"golden": golden}}}
        write_manifest(building, {**manifest, **golden_of})
    return precision


def read_tflite(file: Path) -> tuple[Port, Port]:
    """Input and output of a .tflite file of one image and one depth.

    Raises:
        BackendError: LiteRT is not installed, or the file is no such network.
        FastDepthError: LiteRT cannot run the file.
    """
    backend_class("litert")
    code = _run_apart(file)
    if code < 0:
        raise FastDepthError(f"{file} ends litert with signal {-code}", "it is damaged, fetch it again")
    _, image, depth = open_tflite(file, 1)
    if code:
        raise FastDepthError(f"{file} can be loaded by litert, but not run")
    return image, depth


def _run_apart(file: Path) -> int:
    """Exit code of a process that runs a .tflite file once: LiteRT ends the process over some damaged files."""
    code = "import sys; from fastdepth_ros.backends.litert import open_tflite; open_tflite(sys.argv[1], 1)[0].invoke()"
    return subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, check=False).returncode


def _golden(engine: Any, artifact: Artifact, step_m: float) -> dict[str, Any]:
    """Golden record; kernels for other processors may round to the next step of bytes."""
    depth = golden_outputs(engine, artifact.network).depth
    if not np.isfinite(depth).any() or np.nanmax(depth) == np.nanmin(depth):
        raise FastDepthError(f"{engine.engine} gives the same depth everywhere on the golden frame: {depth.flat[0]}")
    record = golden_record(engine, artifact.network)
    return {**record, "tolerance_m": max(record["tolerance_m"], round(2 * step_m, 4))}


def _copied(file: Path, folder: Path, name: str) -> dict[str, Any]:
    """Entry of the manifest's files for a copy of a file."""
    if not file.is_file():
        raise FastDepthError(f"no model file at {file}")
    if file.stat().st_size > LARGEST_BYTES:
        raise FastDepthError(f"{file} has {file.stat().st_size} bytes, a model file at most {LARGEST_BYTES}")
    shutil.copyfile(file, folder / name)
    return {"file": name, "sha256": sha256_of(folder / name)}
