"""Flicker: how much the depth of a static scene moves over time."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.errors import FastDepthError

MIN_IMAGES = 2


def temporal_noise(depths: np.ndarray) -> dict[str, float]:
    """Temporal standard deviation of the depth that a still camera sees of a still scene.

    Args:
        depths: float (images, H, W) meters; NaN invalid, +inf beyond range.

    Returns:
        std_m, std_p95_m (median and 95th percentile over pixels of the standard deviation over time, meters),
        relative (median over pixels of it over the pixel's mean depth), measured (share of pixels that have a depth in
        every image), flickering (share of those that have one in some only).

    Raises:
        ValueError: fewer than two images, or no pixel with a depth in all of them.
    """
    if depths.ndim != 3 or len(depths) < MIN_IMAGES:
        raise FastDepthError(f"depth images have shape {depths.shape}, flicker needs (at least {MIN_IMAGES}, H, W)")
    known = np.isfinite(depths) & (depths > 0)
    always = known.all(axis=0)
    if not always.any():
        raise FastDepthError("no pixel has a depth in every image")
    steady = depths[:, always].astype(np.float64)  # (images, pixels)
    deviation_m = steady.std(axis=0, ddof=1)
    return {
        "std_m": float(np.median(deviation_m)),
        "std_p95_m": float(np.percentile(deviation_m, 95)),
        "relative": float(np.median(deviation_m / steady.mean(axis=0))),
        "measured": float(always.mean()),
        "flickering": float((known.any(axis=0) & ~always).mean()),
    }
