"""Free places in a room."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic.parts import extent, moved
from fastdepth_ros.data.synthetic.scene import Solid


class Layout:
    """Finds places in a room where nothing is yet. A zone is a rectangle of the floor, and the height up to which
    things may stand in it: 0 where something stands already, the sill's under a window."""

    def __init__(self, rng: np.random.Generator, width_m: float, length_m: float):
        self.rng, self.size_m = rng, (width_m, length_m)
        self.zones: list[tuple[np.ndarray, float]] = []

    def wall(self, number: int) -> tuple[float, float]:
        """Half the length of one of the walls 0..3, and its distance from the room's center."""
        along, away = self.size_m if number % 2 == 0 else self.size_m[::-1]
        return along / 2, away / 2

    def free(self, low: np.ndarray, high: np.ndarray) -> bool:
        edge = np.array(self.size_m) / 2 + 0.03  # frames on a wall are let into it
        inside = np.all(high[:2] <= edge) and np.all(low[:2] >= -edge)
        apart = (
            high[2] <= height or np.any(low[:2] >= zone[1]) or np.any(high[:2] <= zone[0])
            for zone, height in self.zones
        )
        return bool(inside and all(apart))

    def reserve(self, low: np.ndarray, high: np.ndarray, height_m: float = 0.0) -> None:
        self.zones.append((np.array([low[:2], high[:2]]), height_m))

    def against_wall(self, parts: list[Solid], walls: list[int], gap_m=0.02, depth_m=0.0, height_m=0.0) -> list[Solid]:
        """The parts with their back to a wall where they fit, or nothing. Reserves `depth_m` in front of them."""
        low, high = extent(parts)
        for _ in range(12):
            number = int(self.rng.choice(walls))
            along, away = self.wall(number)
            if 2 * along <= high[0] - low[0] + 0.1:
                continue
            x = self.rng.uniform(-along + 0.03 - low[0], along - 0.03 - high[0])
            placed = moved(moved(parts, x, away - gap_m - high[1]), 0, 0, number * np.pi / 2)
            found = extent(placed)
            if self.free(*found):
                front = moved(moved(parts, x, away - gap_m - high[1] - depth_m), 0, 0, number * np.pi / 2)
                self.reserve(*extent(placed + front), height_m)
                return placed
        return []

    def anywhere(self, parts: list[Solid]) -> list[Solid]:
        """The parts turned at random where they fit, or nothing."""
        for _ in range(20):
            x, y = (self.rng.uniform(-0.5, 0.5) * (size - 1.0) for size in self.size_m)
            placed = moved(parts, x, y, self.rng.uniform(0, 2 * np.pi))
            if self.free(*extent(placed)):
                self.reserve(*extent(placed))
                return placed
        return []
