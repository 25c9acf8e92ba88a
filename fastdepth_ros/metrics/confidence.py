"""Brier score, calibration and sparsification of a confidence, over the pixels of any number of images.

A confidence is the probability that a pixel's depth is within a factor of 1.25 of the truth (delta1). Two others are
measured beside it on the same pixels: a constant, and a table of the predicted depth alone. Both are fitted to the very
pixels that judge them, so that they are as good as such can be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fastdepth_ros.errors import FastDepthError

RIGHT = 1.25
SHARES = (0.5, 0.7, 0.9)  # of the most confident pixels
TENTHS = 10
_BINS = 2000  # of confidence, and of the error of the oracle
_DEPTH_EDGES_M = np.geomspace(0.2, 20.0, 41)
_LARGEST_ERROR = 4.0  # relative; larger ones share a bin of the oracle


@dataclass
class _Sums:
    """Sums over the pixels of each bin of a key by which they are sorted."""

    bins: int
    pixels: np.ndarray = field(init=False)
    right: np.ndarray = field(init=False)
    squared_m2: np.ndarray = field(init=False)
    relative: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.pixels, self.right, self.squared_m2, self.relative = np.zeros((4, self.bins))

    def add(self, key: np.ndarray, right: np.ndarray, error_m: np.ndarray, relative: np.ndarray) -> None:
        self.pixels += np.bincount(key, minlength=self.bins)
        for sums, values in ((self.right, right), (self.squared_m2, error_m**2), (self.relative, relative)):
            sums += np.bincount(key, values, self.bins)


class ConfidenceFigures:
    """Figures of a confidence over images that are added one by one."""

    def __init__(self) -> None:
        self._by_confidence, self._by_depth, self._oracle = _Sums(_BINS), _Sums(len(_DEPTH_EDGES_M) + 1), _Sums(_BINS)
        self._said = np.zeros(_BINS)
        self._brier = 0.0

    def add(self, depth: np.ndarray, truth: np.ndarray, confidence: np.ndarray) -> None:
        """Take an image into account.

        Args:
            depth, truth: float HxW meters; pixels whose truth is above 0 count. Depth of 0 or NaN is wrong.
            confidence: float HxW in [0, 1].
        """
        known = truth > 0
        depth, truth, said = (np.nan_to_num(image[known]).astype(np.float64) for image in (depth, truth, confidence))
        ratio = np.maximum(depth / truth, truth / np.maximum(depth, 1e-3))
        right, error_m = (ratio < RIGHT).astype(float), np.abs(depth - truth)
        relative = error_m / truth
        self._brier += float(((said - right) ** 2).sum())
        key = np.clip(said * _BINS, 0, _BINS - 1).astype(np.int64)
        self._by_confidence.add(key, right, error_m, relative)
        self._said += np.bincount(key, said, _BINS)
        self._by_depth.add(np.digitize(depth, _DEPTH_EDGES_M), right, error_m, relative)
        wrong = np.clip(relative / _LARGEST_ERROR * _BINS, 0, _BINS - 1).astype(np.int64)
        self._oracle.add(_BINS - 1 - wrong, right, error_m, relative)

    def figures(self) -> dict[str, object]:
        """The figures, as JSON.

        Returns:
            pixels; delta1; brier; ece (mean difference of confidence and delta1 over tenths of confidence, by their
            pixels); area (mean relative error over all shares of most confident pixels), area_oracle (sorted by the
            error itself); constant and by_depth: brier and area of these two; shares: delta1 and rmse of the most
            confident shares and of all; tenths: of each tenth of confidence the share of pixels, the mean confidence
            and delta1.

        Raises:
            FastDepthError: no pixel with a truth.
        """
        sums, total = self._by_confidence, self._by_confidence.pixels.sum()
        if not total:
            raise FastDepthError("no pixel with a truth to judge a confidence by")
        delta1, tenths = float(sums.right.sum() / total), self._tenths()
        table = _mean(self._by_depth.right, self._by_depth.pixels)
        return {
            "pixels": int(total),
            "delta1": delta1,
            "brier": self._brier / total,
            "ece": float(sum(each["share"] * abs(each["confidence"] - each["delta1"]) for each in tenths)),
            "area": _area(sums, np.arange(_BINS)),
            "area_oracle": _area(self._oracle, np.arange(_BINS)),
            "constant": {"brier": delta1 * (1 - delta1), "area": float(sums.relative.sum() / total)},
            "by_depth": {
                "brier": float((self._by_depth.pixels * table * (1 - table)).sum() / total),
                "area": _area(self._by_depth, table),
            },
            "shares": {f"{share:g}": _most_confident(sums, share) for share in (*SHARES, 1.0)},
            "tenths": tenths,
        }

    def _tenths(self) -> list[dict[str, float]]:
        tenth = np.arange(_BINS) * TENTHS // _BINS
        pixels, right, said = (
            np.bincount(tenth, values, TENTHS)
            for values in (self._by_confidence.pixels, self._by_confidence.right, self._said)
        )
        return [
            {"share": float(n / pixels.sum()), "confidence": float(c), "delta1": float(r)}
            for n, c, r in zip(pixels, _mean(said, pixels), _mean(right, pixels))
            if n
        ]


def _mean(sums: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return sums / np.maximum(pixels, 1)


def _sorted(sums: _Sums, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order of the bins, the most confident first, and their pixels."""
    order = np.argsort(-confidence, kind="stable")
    return order, sums.pixels[order]


def _area(sums: _Sums, confidence: np.ndarray) -> float:
    """Mean over all shares of the relative error of the most confident pixels; of a bin, all errors are its mean."""
    order, pixels = _sorted(sums, confidence)
    errors = np.concatenate([[0.0], np.cumsum(sums.relative[order])])
    counts = np.concatenate([[0.0], np.cumsum(pixels)])
    at = (np.arange(_BINS) + 0.5) / _BINS * counts[-1]
    return float((np.interp(at, counts, errors) / at).mean())


def _most_confident(sums: _Sums, share: float) -> dict[str, float]:
    """delta1 and rmse of the most confident share of the pixels; of the last bin, a part of its sums."""
    order, pixels = _sorted(sums, np.arange(sums.bins))
    counts = np.concatenate([[0.0], np.cumsum(pixels)])
    at = share * counts[-1]
    right, squared = (
        np.interp(at, counts, np.concatenate([[0.0], np.cumsum(values[order])])) / at
        for values in (sums.right, sums.squared_m2)
    )
    return {"delta1": float(right), "rmse": float(np.sqrt(squared))}
