"""Grid of obstacles seen from above, as a voxel layer of a costmap makes it of point clouds, and its picture."""

from __future__ import annotations

import cv2
import numpy as np

HEIGHTS_M = (0.15, 1.6)  # over the floor: lower is floor, higher is no obstacle
REACH_M = 3.0  # marked and cleared within
CELL_M = 0.1
HIT, MISS, LIMIT = 0.9, -0.4, 3.0  # log odds of a voxel that holds points, of one that a ray crosses, and at most
MIN_POINTS = 2  # in a voxel, to mark it
PIXELS = 6  # of a cell in the picture
_FREE, _UNKNOWN, _OCCUPIED, _FALSE, _MISSED = (245,) * 3, (205,) * 3, (40,) * 3, (60, 60, 230), (230, 150, 40)


class OccupancyGrid:
    """Log odds of voxels above a floor.

    Args:
        origin_m: world x and y of the lower corner of the first cell.
        shape: number of cells along x and y.
    """

    def __init__(self, origin_m: np.ndarray, shape: tuple[int, int]) -> None:
        self._low = np.array([*origin_m, 0.0])
        self._odds = np.zeros((*shape, round(HEIGHTS_M[1] / CELL_M)), np.float32)

    def add(self, points: np.ndarray, pose: np.ndarray) -> None:
        """Take one cloud into account.

        Args:
            points: float (N, 3) meters in the camera's frame.
            pose: 4x4, camera to world.
        """
        camera = pose[:3, 3]
        world = points @ pose[:3, :3].T + camera
        away = np.linalg.norm(world[:, :2] - camera[:2], axis=1)
        near = world[away <= REACH_M]
        cells, counts = np.unique(self._cells(near), axis=0, return_counts=True)
        ends = (cells + 0.5) * CELL_M + self._low
        steps = np.arange(0.0, REACH_M * 1.5, CELL_M / 2)
        lengths = np.linalg.norm(ends - camera, axis=1)
        rays = camera + ((ends - camera) / np.maximum(lengths, 1e-9)[:, None])[:, None] * steps[:, None]
        crossed = self._inside(np.unique(self._cells(rays[steps < lengths[:, None] - 1.5 * CELL_M]), axis=0))
        standing = (ends[:, 2] >= HEIGHTS_M[0]) & (counts >= MIN_POINTS)
        hit = self._inside(cells[standing])
        change = np.zeros_like(self._odds)
        change[tuple(crossed.T)] = MISS
        change[tuple(hit.T)] = HIT  # of one cloud, what is seen wins over what is crossed
        self._odds = np.clip(self._odds + change, -LIMIT, LIMIT)

    @property
    def occupied(self) -> np.ndarray:
        """bool (X, Y): a voxel of the column is more likely occupied than not."""
        return np.any(self._odds > 0, axis=2)

    @property
    def known(self) -> np.ndarray:
        """bool (X, Y): something was said of the column."""
        return np.any(self._odds != 0, axis=2)

    def _cells(self, points: np.ndarray) -> np.ndarray:
        return np.floor((points - self._low) / CELL_M).astype(np.int64)

    def _inside(self, cells: np.ndarray) -> np.ndarray:
        return cells[((cells >= 0) & (cells < self._odds.shape)).all(axis=1)]


def grid_picture(
    title: str, occupied: np.ndarray, known: np.ndarray, false: np.ndarray | None = None,
    missed: np.ndarray | None = None, pose: np.ndarray | None = None, origin_m: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Picture of a grid: black is occupied, white free, gray unknown, red falsely occupied, blue missed.

    Args:
        occupied, known, false, missed: bool (X, Y).
        pose, origin_m: the camera's, drawn as an arrow; None draws none.

    Returns:
        uint8 HxWx3 BGR, world x to the right, y up.
    """
    picture = np.full((*occupied.shape, 3), _UNKNOWN, np.uint8)
    for cells, color in ((known, _FREE), (occupied, _OCCUPIED), (false, _FALSE), (missed, _MISSED)):
        if cells is not None:
            picture[cells] = color
    picture = np.ascontiguousarray(picture.transpose(1, 0, 2)[::-1]).repeat(PIXELS, 0).repeat(PIXELS, 1)
    if pose is not None and origin_m is not None:
        at = (pose[:2, 3] - origin_m) / CELL_M * PIXELS
        tip = at + pose[:2, 2] / np.linalg.norm(pose[:2, 2]) * 4 * PIXELS
        (x, y), (to_x, to_y) = np.round([at, tip]).astype(int).tolist()
        height = len(picture)
        cv2.arrowedLine(picture, (x, height - y), (to_x, height - to_y), (0, 140, 0), 2, tipLength=0.4)
    head = np.full((26, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(head, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40,) * 3, 1, cv2.LINE_AA)
    return np.vstack([head, picture])
