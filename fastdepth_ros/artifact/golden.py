"""Golden frame: a fixed input whose depth is in the manifest, to check a backend when it is loaded.

An engine upgrade, a driver or a wrong rewriting can change the depth without an error; this check finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros.backends.base import Backend
from fastdepth_ros.errors import FastDepthError

SPACING_PX = 16
TOLERANCE_M = 1e-3
AGREEMENT_M = 1e-4  # between engines that compute the same file


def golden_frame(size_px: int) -> np.ndarray:
    """Fixed network input, computed in integers: slopes, tiles and a disc.

    Returns:
        uint8 (size, size, 3).

    >>> golden_frame(224)[0, 0].tolist()
    [60, 40, 170]
    """
    y, x = np.mgrid[:size_px, :size_px]
    tiles = ((x // 14 + y // 14) % 2) * 40
    disc = ((x - size_px // 3) ** 2 + (y - size_px // 2) ** 2 < (size_px // 5) ** 2) * 70
    planes = [60 + y * 120 // size_px + tiles, 40 + x * 130 // size_px + disc, 170 - y * 90 // size_px + tiles // 2]
    return np.stack(planes, axis=-1).astype(np.uint8)


def golden_record(backend: Backend, size_px: int) -> dict[str, Any]:
    """Golden record in the manifest: depth in meters at every sixteenth pixel, rounded to 0.1 mm."""
    depth = _sample(backend.infer(_golden_input(backend, size_px)))
    return {
        "spacing_px": SPACING_PX,
        "tolerance_m": TOLERANCE_M,
        "depth_m": np.round(depth.astype(np.float64), 4).tolist(),
    }


@dataclass(frozen=True)
class GoldenDifference:
    """Difference between a depth of the golden frame and the record, at the record's pixels.

    Args:
        mean_m, largest_m: absolute, meters; NaN where the depth has one.
        median_ratio: median of the depth over that of the record.
        tolerance_m: largest difference that the record allows.
    """

    mean_m: float
    largest_m: float
    median_ratio: float
    tolerance_m: float


def golden_difference(depth: np.ndarray, record: Mapping[str, Any]) -> GoldenDifference:
    """Compare a depth of the golden frame with the record.

    Args:
        depth: float (height, width) meters, of the network input's size.

    Raises:
        FastDepthError: a malformed record, or a depth of another size.
    """
    depth = _sample(depth)
    try:
        expected, tolerance_m = np.asarray(record["depth_m"], np.float32), float(record["tolerance_m"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FastDepthError(f"the manifest's golden record is malformed: {type(error).__name__} {error}") from error
    if expected.shape != depth.shape:
        raise FastDepthError(f"the manifest's golden depth has shape {expected.shape}, it needs {depth.shape}")
    off_m, median_m = np.abs(depth - expected), float(np.median(expected))
    ratio = float(np.median(depth)) / median_m if median_m else float("nan")
    return GoldenDifference(float(off_m.mean()), float(off_m.max()), ratio, tolerance_m)


def read_depth(path: Path, size_px: int) -> np.ndarray:
    """Depth of the golden frame that another runtime wrote with `numpy.save`.

    Returns:
        float32 (size, size) meters; axes of length 1 are dropped.

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
    if tuple(axis for axis in depth.shape if axis > 1) != (size_px, size_px):
        raise FastDepthError(f"{path} has shape {depth.shape}, it should be (1, 1, {size_px}, {size_px})")
    return depth.reshape(size_px, size_px).astype(np.float32)


def check_golden(backend: Backend, record: Mapping[str, Any], size_px: int) -> float:
    """Run the golden frame and compare its depth with the record.

    Returns:
        Largest difference, meters.

    Raises:
        FastDepthError: a malformed record, or a difference above the record's tolerance.
    """
    found = golden_difference(backend.infer(_golden_input(backend, size_px)), record)
    if not found.largest_m <= found.tolerance_m:  # NaN fails too
        raise FastDepthError(
            f"{backend.engine} is off by {found.largest_m:.4f} m on the golden frame, {found.tolerance_m} m is "
            "allowed: this engine does not compute this network"
        )
    return found.largest_m


def require_agreement(one: Backend, other: Backend, size_px: int, names: str) -> float:
    """Difference between two backends of the same network over all pixels of the golden frame and of noise, meters.

    Args:
        names: "ONNX differs from PyTorch", for the error.

    Raises:
        FastDepthError: over AGREEMENT_M, or one of them gives NaN.
    """
    noise = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    off_m = float(np.max([np.abs(one.infer(rgb) - other.infer(rgb)).max() for rgb in (golden_frame(size_px), noise)]))
    if not off_m <= AGREEMENT_M:  # NaN fails too
        raise FastDepthError(f"{names} by {off_m} m, {AGREEMENT_M} m is allowed")
    return off_m


def _golden_input(backend: Backend, size_px: int) -> np.ndarray:
    frame = golden_frame(size_px)
    return frame if backend.channels == "rgb" else np.ascontiguousarray(frame[..., ::-1])


def _sample(depth: np.ndarray) -> np.ndarray:
    return depth[SPACING_PX // 2 :: SPACING_PX, SPACING_PX // 2 :: SPACING_PX]
