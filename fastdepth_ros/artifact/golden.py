"""Golden frame: a fixed input whose depth is in the manifest, to check a backend when it is loaded.

An engine upgrade, a driver or a wrong rewriting can change the depth without an error; this check finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastdepth_ros.backends import Backend, Outputs
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError

SPACING_PX = 16


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
    depth = golden_sample(depth)
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


def golden_sample(depth: np.ndarray) -> np.ndarray:
    """Every sixteenth pixel of a depth, those of the record."""
    return depth[SPACING_PX // 2 :: SPACING_PX, SPACING_PX // 2 :: SPACING_PX]
