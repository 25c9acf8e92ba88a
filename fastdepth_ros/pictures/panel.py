"""Panel: rows of frame, depth and truth on one color scale, with a legend."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from fastdepth_ros.pictures.color_map import color_depth, draw_legend

TILE_PX = (373, 280)
HEAD_PX = 28
FULL_ERROR_M = 2.0


@dataclass(frozen=True)
class PanelRow:
    """One row of a panel; all pictures show the same view.

    Args:
        bgr: frame, uint8 HxWx3.
        maps: depth by title, float HxW meters, NaN or 0 invalid.
        errors: difference to the truth by title, float HxW meters, NaN where unknown.
        caption: text on the frame.
    """

    bgr: np.ndarray
    maps: dict[str, np.ndarray]
    errors: dict[str, np.ndarray] = field(default_factory=dict)
    caption: str = ""


def panel(rows: list[PanelRow]) -> np.ndarray:
    """Picture of all rows, uint8 HxWx3 BGR. Every row needs the maps and errors of the first."""
    titles = ["frame", *rows[0].maps, *rows[0].errors]
    body = np.vstack([_row(row) for row in rows])
    width = body.shape[1]
    return np.vstack([_head(titles), body, draw_legend(width, 40, width - 40, background=255, ink=40)])


def _row(row: PanelRow) -> np.ndarray:
    frame = cv2.resize(row.bgr, TILE_PX, interpolation=cv2.INTER_AREA)
    if row.caption:
        cv2.rectangle(frame, (0, TILE_PX[1] - 24), (TILE_PX[0], TILE_PX[1]), (255, 255, 255), cv2.FILLED)
        _write(frame, row.caption, 6, TILE_PX[1] - 7)
    pictures = [color_depth(depth) for depth in row.maps.values()]
    pictures += [_color_error(error) for error in row.errors.values()]
    return np.hstack([frame, *(cv2.resize(p, TILE_PX, interpolation=cv2.INTER_NEAREST) for p in pictures)])


def _color_error(error: np.ndarray) -> np.ndarray:
    """Picture of an error: white is 0, red is `FULL_ERROR_M` or more, gray is unknown."""
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


def _write(picture: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
