"""Difference between the depths of two backends that compute the same network."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.artifact.golden import golden_frame
from fastdepth_ros.backends import Backend

AGREEMENT_M = 1e-4


def largest_difference_m(one: Backend, other: Backend, size_px: int) -> float:
    """Over the pixels of the golden frame and of noise, meters; NaN where one of them gives NaN."""
    noise = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    frames = (golden_frame(size_px), noise)
    return float(np.max([np.abs(one.infer(rgb) - other.infer(rgb)).max() for rgb in frames]))
