"""Records that tools write into an artifact: its manifest, golden depth and accuracy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros.artifact.artifact import Artifact
from fastdepth_ros.artifact.golden import SPACING_PX, golden_frame, golden_outputs, golden_sample
from fastdepth_ros.artifact.manifest import MANIFEST
from fastdepth_ros.backends import Backend
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write

TOLERANCE_M = 1e-3
AGREEMENT_M = 1e-4  # between engines that compute the same file
CONFIDENCE_AGREEMENT = 1e-3


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, atomically."""
    atomic_write(folder / MANIFEST, manifest_text(manifest) + "\n")


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Manifest as JSON with one line per list of numbers."""
    return re.sub(r"\[\n[^\[\]{}]*\]", lambda numbers: " ".join(numbers[0].split()), json.dumps(manifest, indent=2))


def record_accuracy(artifact: Artifact, precision: str, key: str, figures: Mapping[str, float]) -> None:
    """Write the accuracy of one precision into the manifest of an artifact, rounded to 4 digits.

    Args:
        key: data set, split and preprocessing: "nyu-labeled/test/authors".
    """
    facts = artifact.facts(precision)
    rounded = {name: round(value, 4) for name, value in figures.items()}
    facts = {**facts, "accuracy": {**facts.get("accuracy", {}), key: rounded}}
    if precision != "fp32":
        facts = {**artifact.manifest, "precisions": {**artifact.manifest["precisions"], precision: facts}}
    write_manifest(artifact.folder, facts)


def record_output(artifact: Artifact, name: str, **facts: Any) -> None:
    """Write facts on an output, such as the depth's scale and shift, into the manifest of an artifact."""
    outputs = artifact.manifest["outputs"]
    changed = {**outputs, name: {**outputs[name], **facts}}
    write_manifest(artifact.folder, {**artifact.manifest, "outputs": changed})


def golden_record(backend: Backend, network: Network) -> dict[str, Any]:
    """Golden record in the manifest: the network's depth at every sixteenth pixel, of six digits; null where it is NaN,
    "inf" where it is +inf. Depth that is not around a meter has a tolerance of its own size."""
    depth = golden_sample(golden_outputs(backend, network).depth)
    known = np.abs(depth[np.isfinite(depth)])
    typical = float(np.median(known)) if known.size else 1.0
    unusual = not 0.1 < typical < 10
    return {
        "spacing_px": SPACING_PX,
        "tolerance_m": TOLERANCE_M if not unusual else float(f"{TOLERANCE_M * typical:.3g}"),
        "depth_m": [[_written(value) for value in row] for row in depth.tolist()],
    }


def read_depth(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Depth of the golden frame that another runtime wrote with `numpy.save`.

    Args:
        shape: rows and columns of the network's depth.

    Returns:
        float32 (rows, columns) meters; axes of length 1 are dropped.

    Raises:
        FastDepthError: no file of `numpy.save`, no floating-point numbers, or another size.
    """
    try:
        depth = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FastDepthError(f"{path} is no array that numpy.save wrote ({error})") from error
    if not isinstance(depth, np.ndarray) or depth.dtype.kind != "f":
        kind = getattr(depth, "dtype", "a set of arrays")
        raise FastDepthError(f"{path} holds {kind}, it should hold meters as floating-point numbers")
    if tuple(axis for axis in depth.shape if axis > 1) != shape:
        raise FastDepthError(f"{path} has shape {depth.shape}, it should be {(1, 1, *shape)}")
    return depth.reshape(shape).astype(np.float32)


def require_agreement(one: Backend, other: Backend, network: Network, names: str) -> float:
    """Difference between two backends of the same network over all pixels of the golden frame and of noise, meters.

    Args:
        names: "ONNX differs from PyTorch", for the error.

    Raises:
        FastDepthError: over AGREEMENT_M, or one of them gives NaN; the confidence, where both give it, over
            CONFIDENCE_AGREEMENT.
    """
    shape = network.input.shape
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = [(one.infer(rgb), other.infer(rgb)) for rgb in (golden_frame(*shape), noise)]
    off_m = float(np.max([np.abs(left.depth - right.depth).max() for left, right in found]))
    if not off_m <= AGREEMENT_M:  # NaN fails too
        raise FastDepthError(f"{names} by {off_m} m, {AGREEMENT_M} m is allowed")
    for (_, left), (_, right) in found:
        if left is not None and right is not None and not np.abs(left - right).max() <= CONFIDENCE_AGREEMENT:
            off = np.abs(left - right).max()
            raise FastDepthError(f"{names} by {off} in confidence, {CONFIDENCE_AGREEMENT} is allowed")
    return off_m


def _written(value: float) -> float | str | None:
    if value != value:
        return None
    return "inf" if value == np.inf else float(f"{value:.6g}")
