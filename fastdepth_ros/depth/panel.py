"""A picture to look at: rows of frame, depth and truth on one colour scale, with a legend."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.depth.colour import colour_depth

SIDE_PX = 280
HEAD_PX = 28
LEGEND_PX = 44
NEAR_M, FAR_M = 0.5, 10.0


@dataclass(frozen=True)
class PanelRow:
    """`bgr` uint8 and the maps, float metres (NaN or 0 invalid), all of the same view; maps by the title above them."""

    bgr: np.ndarray
    maps: dict[str, np.ndarray]


def panel(rows: list[PanelRow]) -> np.ndarray:
    """uint8 HxWx3 BGR; every row needs the maps of the first."""
    titles = ["frame", *rows[0].maps]
    body = np.vstack([_row(row) for row in rows])
    return np.vstack([_head(titles), body, _legend(body.shape[1])])


def _row(row: PanelRow) -> np.ndarray:
    tiles = [cv2.resize(row.bgr, (SIDE_PX * 4 // 3, SIDE_PX), interpolation=cv2.INTER_AREA)]
    for depth in row.maps.values():
        picture = colour_depth(depth, NEAR_M, FAR_M)
        tiles.append(cv2.resize(picture, (SIDE_PX * 4 // 3, SIDE_PX), interpolation=cv2.INTER_NEAREST))
    return np.hstack(tiles)


def _head(titles: list[str]) -> np.ndarray:
    head = np.full((HEAD_PX, len(titles) * (SIDE_PX * 4 // 3), 3), 255, np.uint8)
    for column, title in enumerate(titles):
        _write(head, title, column * (SIDE_PX * 4 // 3) + 8, 20)
    return head


def _legend(width: int) -> np.ndarray:
    """The colour scale with its metres, evenly in log depth as the colours are."""
    legend = np.full((LEGEND_PX, width, 3), 255, np.uint8)
    depth = np.geomspace(NEAR_M, FAR_M, width - 80, dtype=np.float32)
    legend[6:20, 40:-40] = colour_depth(depth[None], NEAR_M, FAR_M)
    for metres in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0):
        share = np.log(metres / NEAR_M) / np.log(FAR_M / NEAR_M)
        _write(legend, f"{metres:g} m", int(40 + share * (width - 80)) - 16, 37)
    return legend


def _write(picture: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
