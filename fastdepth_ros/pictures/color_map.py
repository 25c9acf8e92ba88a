"""Depth as a picture: near is warm, far is cold, invalid is black."""

from __future__ import annotations

import cv2
import numpy as np


def color_depth(depth: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    """Map meters to colors (Turbo, reversed, even in log depth, so that equal ratios differ equally).

    Args:
        depth: float HxW meters; NaN and 0 are invalid.
        near_m, far_m: ends of the color scale; what lies outside takes the end's color.

    Returns:
        uint8 HxWx3 BGR.
    """
    valid = depth > 0
    clipped = np.clip(depth, near_m, far_m, where=valid, out=np.full(depth.shape, far_m, np.float32))
    levels = (np.log(far_m / clipped) * (255 / np.log(far_m / near_m))).astype(np.uint8)
    picture = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)
    picture[~valid] = 0
    return picture
