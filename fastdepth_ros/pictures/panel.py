"""A picture to look at: rows of frame, depth and truth on one color scale, with a legend."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from fastdepth_ros.pictures.color_map import color_depth
from fastdepth_ros.pictures.image_files import FAR_M, NEAR_M

TILE_PX = (373, 280)
HEAD_PX = 28
LEGEND_PX = 44
FULL_ERROR_M = 2.0


@dataclass(frozen=True)
class PanelRow:
    """One moment: everything of the same view, what is not the frame by the title above it.

    Args:
        bgr: uint8 HxWx3.
        maps: depth, float HxW meters, NaN or 0 invalid.
        errors: difference to the truth, float HxW meters, NaN where unknown.
        caption: written onto the frame.
    """

    bgr: np.ndarray
    maps: dict[str, np.ndarray]
    errors: dict[str, np.ndarray] = field(default_factory=dict)
    caption: str = ""


def panel(rows: list[PanelRow]) -> np.ndarray:
    """uint8 HxWx3 BGR; every row needs the maps of the first."""
    titles = ["frame", *rows[0].maps, *rows[0].errors]
    body = np.vstack([_row(row) for row in rows])
    return np.vstack([_head(titles), body, _legend(body.shape[1])])


def _row(row: PanelRow) -> np.ndarray:
    frame = cv2.resize(row.bgr, TILE_PX, interpolation=cv2.INTER_AREA)
    if row.caption:
        cv2.rectangle(frame, (0, TILE_PX[1] - 24), (TILE_PX[0], TILE_PX[1]), (255, 255, 255), cv2.FILLED)
        _write(frame, row.caption, 6, TILE_PX[1] - 7)
    pictures = [color_depth(depth, NEAR_M, FAR_M) for depth in row.maps.values()]
    pictures += [_color_error(error) for error in row.errors.values()]
    return np.hstack([frame, *(cv2.resize(p, TILE_PX, interpolation=cv2.INTER_NEAREST) for p in pictures)])


def _color_error(error: np.ndarray) -> np.ndarray:
    """White is right, red is off by `FULL_ERROR_M` or more, gray is unknown."""
    share = np.clip(np.nan_to_num(np.abs(error)) / FULL_ERROR_M, 0, 1)
    picture = np.empty((*error.shape, 3), np.uint8)
    picture[..., :2] = ((1 - share) * 255)[..., None]
    picture[..., 2] = 255 - share * 75
    picture[np.isnan(error)] = 128
    return picture


def _head(titles: list[str]) -> np.ndarray:
    head = np.full((HEAD_PX, len(titles) * TILE_PX[0], 3), 255, np.uint8)
    for column, title in enumerate(titles):
        _write(head, title, column * TILE_PX[0] + 8, 20)
    return head


def _legend(width: int) -> np.ndarray:
    """The color scale with its meters, evenly in log depth as the colors are."""
    legend = np.full((LEGEND_PX, width, 3), 255, np.uint8)
    depth = np.geomspace(NEAR_M, FAR_M, width - 80, dtype=np.float32)
    legend[6:20, 40:-40] = color_depth(depth[None], NEAR_M, FAR_M)
    for meters in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0):
        share = np.log(meters / NEAR_M) / np.log(FAR_M / NEAR_M)
        _write(legend, f"{meters:g} m", int(40 + share * (width - 80)) - 16, 37)
    return legend


def _write(picture: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
