"""Coverage of a visible surface by points, and errors of a grid of obstacles."""

from __future__ import annotations

import numpy as np

_CHUNK = 512


def covered_share(points: np.ndarray, truth: np.ndarray, *, cell_m: float = 0.1, within_m: float = 0.2) -> float:
    """Share of the cells of a true surface that have a point near them; NaN without any truth.

    Args:
        points: float (N, 3) meters.
        truth: float (M, 3) meters, dense on the visible surface.
        cell_m: side of the cubes that the surface is cut into; each counts once, at the mean of its truth.
        within_m: largest distance of a point that covers a cell.

    >>> surface = np.array([[0.0, 0.0, 1.05], [0.0, 0.0, 1.06], [0.0, 0.0, 2.0]])
    >>> covered_share(np.array([[0.0, 0.1, 1.0]]), surface)
    0.5
    """
    if not len(truth):
        return float("nan")
    _, cell = np.unique(np.floor(truth / cell_m).astype(np.int64), axis=0, return_inverse=True)
    cell = cell.ravel()
    sizes = np.bincount(cell)
    centers = np.stack([np.bincount(cell, truth[:, axis]) / sizes for axis in range(3)], axis=1).astype(np.float32)
    if not len(points):
        return 0.0
    points, covered = points.astype(np.float32), 0
    squared = (points**2).sum(axis=1)
    for start in range(0, len(centers), _CHUNK):
        part = centers[start : start + _CHUNK]
        nearest = (squared - 2 * part @ points.T).min(axis=1) + (part**2).sum(axis=1)
        covered += int((nearest <= within_m**2).sum())
    return covered / len(centers)


def wrong_cells(
    marked: np.ndarray, true: np.ndarray, visible: np.ndarray, within: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """False and missed cells of a grid of obstacles.

    Args:
        marked: bool (X, Y), cells that the grid says are occupied.
        true: cells that are.
        visible: true cells that a perfect camera would have marked.
        within: distance in cells within which two cells are the same obstacle.

    Returns:
        bool (X, Y) each: marked cells with no true cell near, visible cells with no marked cell near.

    >>> grid = np.eye(5, dtype=bool)
    >>> [int(cells.sum()) for cells in wrong_cells(grid & (np.arange(5) < 3), grid, grid, within=1)]
    [0, 2]
    """
    return marked & ~_near(true, within), visible & ~_near(marked, within)


def _near(cells: np.ndarray, within: int) -> np.ndarray:
    """Cells within a distance of one that is set."""
    near = np.zeros_like(cells)
    padded = np.pad(cells, within)
    for x in range(-within, within + 1):
        for y in range(-within, within + 1):
            if x * x + y * y <= within * within:
                rows, columns = cells.shape
                near |= padded[within + x : within + x + rows, within + y : within + y + columns]
    return near
