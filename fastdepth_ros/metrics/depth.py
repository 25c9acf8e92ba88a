"""Errors of a depth map against the truth, and flicker of a static scene's depth over time.

Errors are per image, their mean over images as the FastDepth authors report it, or pooled over all pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fastdepth_ros.errors import FastDepthError

NEAR_M = 1.5  # what a robot must not hit
NAMES = ("rmse", "mae", "rel", "log10", "irmse", "imae", "delta1", "delta2", "delta3")
_ROOTS = ("rmse", "irmse")
_SMALLEST_M = 1e-3  # stands for a prediction of zero or less, whose logarithm and ratio do not exist


def depth_errors(depth: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Errors of one image over the pixels whose truth is above 0.

    Args:
        depth, truth: float meters of the same shape; a NaN prediction where truth is known is an error of the caller.

    Returns:
        rmse, mae [m]; rel (mean absolute relative error); log10; irmse, imae [1/m]; delta1-3 (share of pixels
        whose ratio to the truth is under 1.25, 1.25^2, 1.25^3).

    Raises:
        ValueError: shapes differ, no pixel has a truth, or a prediction is not finite.

    >>> errors = depth_errors(np.array([[1.0, 2.5]]), np.array([[1.0, 2.0]]))
    >>> errors["mae"], errors["rel"], errors["delta1"]
    (0.25, 0.125, 0.5)
    """
    if depth.shape != truth.shape:
        raise FastDepthError(f"depth has shape {depth.shape}, truth {truth.shape}")
    valid = truth > 0
    if not valid.any():
        raise FastDepthError("no pixel of the truth is above 0")
    predicted, actual = depth[valid].astype(np.float64), truth[valid].astype(np.float64)
    if not np.isfinite(predicted).all():
        raise FastDepthError(f"{np.count_nonzero(~np.isfinite(predicted))} predicted pixels are not finite")
    difference = np.abs(predicted - actual)
    positive = np.maximum(predicted, _SMALLEST_M)
    ratio = np.maximum(positive / actual, actual / positive)
    inverse = np.abs(1 / positive - 1 / actual)
    return {
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "mae": float(np.mean(difference)),
        "rel": float(np.mean(difference / actual)),
        "log10": float(np.mean(np.abs(np.log10(positive) - np.log10(actual)))),
        "irmse": float(np.sqrt(np.mean(inverse**2))),
        "imae": float(np.mean(inverse)),
        **{f"delta{power}": float(np.mean(ratio < 1.25**power)) for power in (1, 2, 3)},
    }


def median_scale(depth: np.ndarray, truth: np.ndarray) -> float:
    """Factor that scales the median of a depth map to that of the truth, over pixels with truth above 0.

    Returns:
        1 where the depth's median is not above 0.

    >>> median_scale(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 0.0]))
    2.0
    """
    valid = truth > 0
    typical = float(np.median(depth[valid]))
    return float(np.median(truth[valid])) / typical if typical > 0 else 1.0


def near_delta1(depth: np.ndarray, truth: np.ndarray, within_m: float = NEAR_M) -> tuple[float | None, int]:
    """delta1 of the pixels whose truth is above 0 and under `within_m`, and their number; None where there is none.

    >>> near_delta1(np.array([1.0, 1.0, 9.0]), np.array([1.0, 1.4, 3.0]))
    (0.5, 2)
    """
    near = np.where(truth < within_m, truth, 0)
    pixels = int(np.count_nonzero(near > 0))
    return (depth_errors(depth, near)["delta1"] if pixels else None), pixels


def mean_errors(errors: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean over images, each counting the same, and `images`, their number.

    Raises:
        ValueError: no image.
    """
    rows = list(errors)
    if not rows:
        raise FastDepthError("no image to average over")
    return {**{name: float(np.mean([row[name] for row in rows])) for name in NAMES}, "images": len(rows)}


def pooled_errors(errors: Sequence[dict[str, float]], pixels: Sequence[int]) -> dict[str, float]:
    """Mean over all pixels of all images, from each image's errors and its number of pixels with a truth.

    Raises:
        ValueError: no image.

    >>> one, two = (depth_errors(np.full(n, 2.0), np.full(n, truth)) for n, truth in ((1, 1.0), (3, 2.0)))
    >>> pooled_errors([one, two], [1, 3])["mae"], mean_errors([one, two])["mae"]
    (0.25, 0.5)
    """
    if not errors:
        raise FastDepthError("no image to pool")
    pooled = {}
    for name in NAMES:
        values = np.array([row[name] for row in errors])
        if name in _ROOTS:
            pooled[name] = float(np.sqrt(np.average(values**2, weights=pixels)))
        else:
            pooled[name] = float(np.average(values, weights=pixels))
    return pooled


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

    >>> noise = temporal_noise(np.array([[[2.0, 1.0]], [[2.0, np.nan]]]))
    >>> noise["std_m"], noise["measured"], noise["flickering"]
    (0.0, 0.5, 0.5)
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
