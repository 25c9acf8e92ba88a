"""Distance of points from the surfaces of a scene, and the floor plan of what stands in it."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic.scene import Scene, Solid


def surface_distance_m(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Distance of each point from the nearest surface, inside and outside alike.

    Args:
        points: float (N, 3) meters in the world.

    Returns:
        float (N,) meters; of an ellipsoid to first order, exact on its surface.
    """
    return np.min([np.abs(_signed_m(solid, points)) for solid in scene.solids], axis=0)


def floor_plan(scene: Scene, cell_m: float, heights_m: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the floor in which something stands.

    Args:
        heights_m: lowest and highest that count.

    Returns:
        bool (columns along x, columns along y), and the (2,) world coordinates of the lower corner of the first cell.
        The walls are cells of it.
    """
    low, high = scene.solids[0].bounds()
    origin = np.floor(low[:2] / cell_m) * cell_m - cell_m
    size = np.ceil((high[:2] - origin) / cell_m).astype(int) + 1
    x, y, z = np.meshgrid(
        *(origin[axis] + (np.arange(size[axis]) + 0.5) * cell_m for axis in (0, 1)),
        np.arange(heights_m[0], heights_m[1] + cell_m / 2, cell_m), indexing="ij",
    )  # fmt: skip
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    room, *others = scene.solids
    reach = cell_m / 2  # of a cell's center to its edge
    stands = np.abs(_signed_m(room, points)) <= reach
    for solid in others:
        stands |= _signed_m(solid, points) <= reach
    return stands.reshape(x.shape).any(axis=-1), origin


def _signed_m(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Distance from the surface of one solid, negative inside."""
    own = (points - np.array(solid.center_m)) @ solid.rotation()
    half = np.array(solid.half_m)
    if solid.shape == "ellipsoid":
        unit = np.linalg.norm(own / half, axis=1)
        return unit * (unit - 1) / np.maximum(np.linalg.norm(own / half**2, axis=1), 1e-9)
    if solid.shape == "cylinder":
        own, half = np.stack([np.hypot(own[:, 0], own[:, 1]), own[:, 2]], axis=1), half[[0, 2]]
    beyond = np.abs(own) - half
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)
