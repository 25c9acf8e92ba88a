"""Picture of a point cloud: from above and from the side."""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.pictures.color_map import color_depth

SIZE_PX = 420
REACH_M = 6.0  # ahead of the camera
UP_M, DOWN_M = 2.0, 2.0  # over and under the camera, in the side view
_PAPER, _GRID, _INK = 24, 60, 200


def cloud_picture(points: np.ndarray, reach_m: float = REACH_M) -> np.ndarray:
    """Two views of a cloud in the camera's optical frame, the camera at the left edge, in cells of 1 m.

    Args:
        points: float (N, 3 or more) meters: x right, y down, z forward.
        reach_m: distance ahead of the camera at the right edge.

    Returns:
        uint8 HxWx3 BGR: the view from above (left of the camera is up) over the view from the side, colored by
        distance.
    """
    above = _view("from above", points[:, 2], points[:, 0], points[:, 2], (-reach_m / 2, reach_m / 2), reach_m)
    side = _view("from the side", points[:, 2], points[:, 1], points[:, 2], (-UP_M, DOWN_M), reach_m)
    return np.vstack([above, side])


def _view(
    title: str, ahead: np.ndarray, down: np.ndarray, depth: np.ndarray, down_m: tuple[float, float], reach_m: float
) -> np.ndarray:
    per_m = SIZE_PX / reach_m
    low, high = down_m
    picture = np.full((round((high - low) * per_m), SIZE_PX, 3), _PAPER, np.uint8)
    for meter in range(int(reach_m) + 1):
        cv2.line(picture, (round(meter * per_m), 0), (round(meter * per_m), len(picture)), (_GRID,) * 3)
    for meter in range(int(np.ceil(low)), int(high) + 1):
        cv2.line(picture, (0, round((meter - low) * per_m)), (SIZE_PX, round((meter - low) * per_m)), (_GRID,) * 3)
    order = np.argsort(-depth)  # the near ones last, so that they are seen
    columns, rows = (ahead[order] * per_m).astype(int), ((down[order] - low) * per_m).astype(int)
    inside = (columns >= 0) & (columns < SIZE_PX) & (rows >= 0) & (rows < len(picture))
    if inside.any():
        picture[rows[inside], columns[inside]] = color_depth(depth[order][inside][None].astype(np.float32))[0]
    cv2.circle(picture, (0, round(-low * per_m)), 4, (_INK,) * 3, cv2.FILLED)
    cv2.putText(picture, title, (8, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (_INK,) * 3, 1, cv2.LINE_AA)
    return picture
