"""Depth as a picture: near is warm, far is cold, invalid is black."""

from __future__ import annotations

import cv2
import numpy as np


def colour_depth(depth: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    """Map metres to colours (Turbo, reversed, linear in 1/depth so that near things differ most).

    Args:
        depth: float HxW metres; NaN and 0 are invalid.
        near_m, far_m: ends of the colour scale; what lies outside takes the end's colour.

    Returns:
        uint8 HxWx3 BGR.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        nearness = (1 / depth - 1 / far_m) / (1 / near_m - 1 / far_m)
    valid = depth > 0
    levels = np.where(valid, np.clip(nearness, 0, 1) * 255, 0).astype(np.uint8)
    picture = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)
    picture[~valid] = 0
    return picture
