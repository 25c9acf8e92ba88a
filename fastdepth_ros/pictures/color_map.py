"""Colors of depth: near is warm, far is cold, invalid is black; and the legend of that scale."""

from __future__ import annotations

import cv2
import numpy as np

NEAR_M, FAR_M = 0.5, 10.0  # ends of the color scale of pictures, videos and reports
TICKS_M = (0.5, 1, 2, 3, 5, 10)


def color_depth(depth: np.ndarray, near_m: float = NEAR_M, far_m: float = FAR_M) -> np.ndarray:
    """Map meters to colors (Turbo, reversed). The scale is even in log depth: equal ratios differ equally.

    Args:
        depth: float HxW meters; NaN and 0 are invalid.
        near_m, far_m: ends of the color scale; depth beyond an end has the color of that end.

    Returns:
        uint8 HxWx3 BGR.
    """
    valid = depth > 0
    clipped = np.clip(depth, near_m, far_m, where=valid, out=np.full(depth.shape, far_m, np.float32))
    levels = (np.log(far_m / clipped) * (255 / np.log(far_m / near_m))).astype(np.uint8)
    picture = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)
    picture[~valid] = 0
    return picture


def color_bar(width_px: int) -> np.ndarray:
    """The color scale from near to far, uint8 1xWx3 BGR."""
    return color_depth(np.geomspace(NEAR_M, FAR_M, width_px, dtype=np.float32)[None])


def scale_share(meters: float) -> float:
    """Place of a depth on the color scale: 0 is near, 1 is far."""
    return float(np.log(meters / NEAR_M) / np.log(FAR_M / NEAR_M))


def draw_legend(width_px: int, left: int, right: int, *, background: int, ink: int) -> np.ndarray:
    """Legend with the color scale between the columns `left` and `right`, uint8 40xWx3 BGR.

    Args:
        background, ink: gray levels of the picture and of its text.
    """
    legend = np.full((40, width_px, 3), background, np.uint8)
    legend[6:18, left:right] = color_bar(right - left)
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    for meters in TICKS_M:
        text = f"{meters:g} m"
        text_px = cv2.getTextSize(text, font, size, 1)[0][0]
        middle = int(left + scale_share(meters) * (right - left))
        x = min(max(middle - text_px // 2, left), right - text_px)
        cv2.putText(legend, text, (x, 34), font, size, (ink, ink, ink), 1, cv2.LINE_AA)
    return legend
