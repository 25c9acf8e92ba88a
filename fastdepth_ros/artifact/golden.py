"""Golden frame: a fixed input whose depth is in the manifest, to check a backend when it is loaded.

An engine upgrade, a driver or a wrong rewriting can change the depth without an error; this check finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros.backends import Backend, Outputs
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError

SPACING_PX = 16
TOLERANCE_M = 1e-3
AGREEMENT_M = 1e-4  # between engines that compute the same file
CONFIDENCE_AGREEMENT = 1e-3


def golden_frame(height_px: int, width_px: int | None = None) -> np.ndarray:
    """Fixed network input, computed in integers: slopes, tiles and a disc.

    Args:
        width_px: None: as the height.

    Returns:
        uint8 (height, width, 3).

    >>> golden_frame(224)[0, 0].tolist()
    [60, 40, 170]
    """
    width_px = height_px if width_px is None else width_px
    y, x = np.mgrid[:height_px, :width_px]
    tiles = ((x // 14 + y // 14) % 2) * 40
    disc = ((x - width_px // 3) ** 2 + (y - height_px // 2) ** 2 < (min(height_px, width_px) // 5) ** 2) * 70
    planes = [
        60 + y * 120 // height_px + tiles, 40 + x * 130 // width_px + disc, 170 - y * 90 // height_px + tiles // 2
    ]  # fmt: skip
    return np.stack(planes, axis=-1).astype(np.uint8)


def golden_input(network: Network) -> tuple[np.ndarray, ...]:
    """The golden frame, RGB, and its camera matrix where the network takes that: what `Backend.infer` takes."""
    height, width = network.input.shape
    camera = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]], np.float32)
    return (golden_frame(height, width), camera) if network.takes_camera else (golden_frame(height, width),)


def golden_outputs(backend: Backend, network: Network) -> Outputs:
    """Outputs of a backend for the golden frame, of a camera whose view is 53 degrees wide."""
    return infer_pixels(backend, golden_frame(*network.input.shape), network)


def infer_pixels(backend: Backend, rgb: np.ndarray, network: Network) -> Outputs:
    """Outputs of a backend for a network input, uint8 (height, width, 3) RGB, of the golden frame's camera."""
    pixels = rgb if backend.channels == "rgb" else np.ascontiguousarray(rgb[..., ::-1])
    return backend.infer(pixels, *golden_input(network)[1:])


def golden_record(backend: Backend, network: Network) -> dict[str, Any]:
    """Golden record in the manifest: the network's depth at every sixteenth pixel, of six digits; null where it is NaN,
    "inf" where it is +inf. Depth that is not around a meter has a tolerance of its own size."""
    depth = _sample(golden_outputs(backend, network).depth)
    known = np.abs(depth[np.isfinite(depth)])
    typical = float(np.median(known)) if known.size else 1.0
    unusual = not 0.1 < typical < 10
    return {
        "spacing_px": SPACING_PX,
        "tolerance_m": TOLERANCE_M if not unusual else float(f"{TOLERANCE_M * typical:.3g}"),
        "depth_m": [[_written(value) for value in row] for row in depth.tolist()],
    }


@dataclass(frozen=True)
class GoldenDifference:
    """Difference between a depth of the golden frame and the record, at the record's pixels.

    Args:
        mean_m, largest_m: absolute, meters; +inf where only one of them is NaN or infinite.
        median_ratio: median of the depth over that of the record.
        tolerance_m: largest difference that the record allows, besides a share of the depth.
        is_within: whether the record allows it everywhere.
    """

    mean_m: float
    largest_m: float
    median_ratio: float
    tolerance_m: float
    is_within: bool

    def is_allowed(self, tolerance_m: float | None) -> bool:
        """Whether it is at most `tolerance_m` everywhere; where that is None, within what the record allows."""
        return self.is_within if tolerance_m is None else self.largest_m <= tolerance_m


def golden_difference(depth: np.ndarray, record: Mapping[str, Any]) -> GoldenDifference:
    """Compare a depth of the golden frame with the record.

    Args:
        depth: float (rows, columns) meters, of the size of the network's depth.

    Raises:
        FastDepthError: a malformed record, or a depth of another size.
    """
    depth = _sample(depth)
    try:
        expected, tolerance_m = np.array(record["depth_m"], np.float32), float(record["tolerance_m"])
        relative = float(record.get("tolerance_relative", 0.0))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FastDepthError(f"the manifest's golden record is malformed: {type(error).__name__} {error}") from error
    if expected.shape != depth.shape:
        raise FastDepthError(f"the manifest's golden depth has shape {expected.shape}, it needs {depth.shape}")
    off_m, finite = difference(depth, expected), np.isfinite(depth) & np.isfinite(expected)
    median_m = float(np.median(expected[finite])) if finite.any() else 0.0
    ratio = float(np.median(depth[finite])) / median_m if median_m else float("nan")
    is_within = (off_m <= tolerance_m + relative * np.abs(np.where(finite, expected, 0))).all()
    return GoldenDifference(float(off_m.mean()), float(off_m.max()), ratio, tolerance_m, bool(is_within))


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


def check_golden(backend: Backend, record: Mapping[str, Any], network: Network) -> float:
    """Run the golden frame and compare its depth with the record.

    Returns:
        Largest difference, meters.

    Raises:
        FastDepthError: a malformed record, or a difference above the record's tolerance.
    """
    found = golden_difference(golden_outputs(backend, network).depth, record)
    if not found.is_within:
        raise FastDepthError(
            f"{backend.engine} is off by {found.largest_m:.4f} m on the golden frame, {found.tolerance_m} m is "
            "allowed: this engine does not compute this network"
        )
    return found.largest_m


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Absolute difference of two depths; 0 where both are NaN or both +inf, +inf where one of them is."""
    with np.errstate(invalid="ignore"):
        off = np.abs(one - other)
    same = (np.isnan(one) & np.isnan(other)) | (one == other)
    return np.where(same, 0, np.where(np.isnan(off), np.inf, off))


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


def _sample(depth: np.ndarray) -> np.ndarray:
    return depth[SPACING_PX // 2 :: SPACING_PX, SPACING_PX // 2 :: SPACING_PX]
