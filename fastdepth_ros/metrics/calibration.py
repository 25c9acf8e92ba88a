"""Calibration of a confidence: what a network says, against the share of pixels that were right."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.metrics.confidence import RIGHT

KNOTS = 16
FEWEST = 1000  # pixels, with which a share is known well enough


class ConfidenceSamples:
    """Pixels with a confidence and a truth, an even sample of each image."""

    PER_IMAGE = 4096

    def __init__(self) -> None:
        self._said: list[np.ndarray] = []
        self._right: list[np.ndarray] = []

    def add(self, depth: np.ndarray, truth: np.ndarray, confidence: np.ndarray) -> None:
        """Take an image into account; pixels without a depth or a truth are left out.

        Args:
            depth, truth: float32 HxW meters, 0 unknown.
            confidence: float32 HxW, as the network says it.
        """
        known = np.flatnonzero((truth > 0) & (depth > 0) & np.isfinite(confidence))
        known = known[:: max(1, known.size // self.PER_IMAGE)]
        ratio = depth.ravel()[known] / truth.ravel()[known]
        self._said.append(confidence.ravel()[known])
        self._right.append(np.maximum(ratio, 1 / ratio) < RIGHT)

    def calibration(self) -> tuple[list[float], list[float]] | None:
        """Confidence, rising, and the probability that it stands for, never falling; None for too few pixels or a
        confidence that is the same everywhere."""
        if not self._said:
            return None
        said, right = np.concatenate(self._said).astype(float), np.concatenate(self._right).astype(float)
        edges = np.unique(np.quantile(said, np.linspace(0, 1, KNOTS + 1))) if said.size >= FEWEST else np.array([])
        if edges.size < 3:
            return None
        bins = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, edges.size - 2)
        counts = np.bincount(bins, minlength=edges.size - 1)
        filled = counts > 0
        middle = np.bincount(bins, said, edges.size - 1)[filled] / counts[filled]
        share = np.bincount(bins, right, edges.size - 1)[filled] / counts[filled]
        return [float(f"{value:.7g}") for value in middle], never_falling(share, counts[filled]).round(4).tolist()


def never_falling(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The values that never fall and are nearest to these by least squares: pooled adjacent violators.

    >>> never_falling(np.array([0.1, 0.5, 0.3, 0.9]), np.ones(4)).tolist()
    [0.1, 0.4, 0.4, 0.9]
    """
    blocks: list[list[float]] = []  # mean, weight, number of values
    for value, weight in zip(values, weights):
        blocks.append([float(value), float(weight), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, weight_, count = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * weight_) / (before[1] + weight_)
            before[1] += weight_
            before[2] += count
    return np.concatenate([np.full(int(count), mean) for mean, _, count in blocks])
