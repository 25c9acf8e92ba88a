"""Furnished rooms from a seed, and the free places in them."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic import fittings
from fastdepth_ros.data.synthetic.furniture import ANYWHERE, FURNITURE, IN_THE_MIDDLE
from fastdepth_ros.data.synthetic.materials import WHITE, Style
from fastdepth_ros.data.synthetic.scene import CameraPath, Light, Material, Scene, Solid, as_vector, box, extent, moved


def random_scene(seed: int) -> Scene:
    """A furnished room of 3 to 6 m by 3 to 6 m with lamps and windows, and the path of a camera in it.

    The first solid is the room, centered on the origin, with its floor at z = 0.
    """
    rng = np.random.default_rng(seed)
    width, length, height = (round(float(rng.uniform(*range_m)), 2) for range_m in ((3.2, 6), (3.2, 6), (2.45, 2.9)))
    style, layout = Style(rng), Layout(rng, width, length)
    behind = int(rng.choice([0, 2] if (length > width) == (rng.random() < 0.8) else [1, 3]))
    path = _camera_path(rng, layout, behind)
    seen = [wall for wall in range(4) if wall != behind]

    parts = fittings.skirting(style, width, length)
    parts += layout.against_wall(fittings.door(style), seen, gap_m=-0.005, depth_m=0.7)
    windows = [fittings.window(style, *size) for size in _window_sizes(rng)]
    windows = [layout.against_wall(window, seen, gap_m=-0.005, depth_m=0.3, height_m=0.9) for window in windows]
    for _ in range(3):
        parts += layout.against_wall(fittings.picture(style), seen, gap_m=-0.005, depth_m=0.1, height_m=1.1)
    theme = str(rng.choice(list(FURNITURE)))
    for piece in FURNITURE[theme]:
        parts += layout.against_wall(piece(style), seen * 3 + [behind])
    for piece in [IN_THE_MIDDLE[theme], *(ANYWHERE[i] for i in rng.integers(len(ANYWHERE), size=2))]:
        parts += layout.anywhere(piece(style))
    if rng.random() < 0.5:
        x, y = rng.uniform(-0.15, 0.15, 2) * (width, length)
        parts += moved(fittings.rug(style), x, y, rng.normal(0, 0.1))
    lamp = fittings.ceiling_lamp(style, height)
    parts += [*lamp, *(part for window in windows for part in window)]
    lights = tuple(light for part in parts for light in _light_of(part))
    return Scene((fittings.room(style, width, length, height), *parts), lights, seed, path)


def _camera_path(rng: np.random.Generator, layout: Layout, behind: int) -> CameraPath:
    """A loop near one wall, facing away from it. The space around it is reserved."""
    along, away = layout.wall(behind)
    reach = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.1, 0.3))
    spot = rng.uniform(-1, 1) * (along - reach[0] - 0.6), away - reach[1] - rng.uniform(0.35, 0.6)
    height = float(rng.uniform(1.1, 1.5))
    turn = behind * np.pi / 2
    space = box(Material("plain", WHITE), *spot, 0, 2 * reach[0] + 0.9, 2 * reach[1] + 0.9, height)
    (zone,) = moved([space], 0, 0, turn)
    layout.reserve(*extent([zone]), height - 0.55)
    to_center = np.arctan2(-spot[1], -spot[0]) + turn
    heading = float(to_center + rng.uniform(-0.2, 0.2))
    return CameraPath(
        center_m=(*zone.center_m[:2], height),
        reach_m=(*reach, 0.06),
        turn_rad=turn,
        heading_rad=heading,
        sweep_rad=float(rng.uniform(0.25, 0.6)),
        pitch_rad=float(rng.uniform(0.10, 0.28)),
    )


def _window_sizes(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Width, height and sill of one or two windows."""
    return [(float(rng.uniform(0.9, 1.8)), float(rng.uniform(0.9, 1.2)), 0.92) for _ in range(int(rng.integers(1, 3)))]


def _light_of(part: Solid) -> list[Light]:
    """Lights of a solid that glows."""
    glow = part.materials[0].glow
    if not glow:
        return []
    half = part.half_m
    if part.materials[0].texture == "outdoors":
        along, out, up = part.rotation().T
        center = np.array(part.center_m) - 0.12 * out  # in front of the frame, so that it casts no shadow
        power = 2.2 * 4 * half[0] * half[2] * np.array([0.92, 0.98, 1.05])
        sides = as_vector(along * half[0]), as_vector(up * half[2])
        return [Light(as_vector(center), *sides, as_vector(power), as_vector(-out))]
    power = np.array([1.0, 0.9, 0.75]) * (1.6 if part.center_m[2] > 1.9 else 0.35)
    return [Light(part.center_m, (half[0], 0.0, 0.0), (0.0, half[1], 0.0), as_vector(power))]


class Layout:
    """Free places in a room. A zone is a rectangle of the floor, and the height up to which it is free:
    0 where furniture stands, the height of the sill below a window."""

    def __init__(self, rng: np.random.Generator, width_m: float, length_m: float):
        self.rng, self.size_m = rng, (width_m, length_m)
        self.zones: list[tuple[np.ndarray, float]] = []

    def wall(self, number: int) -> tuple[float, float]:
        """Half the length of a wall (0 to 3), and its distance from the center of the room, meters."""
        along, away = self.size_m if number % 2 == 0 else self.size_m[::-1]
        return along / 2, away / 2

    def free(self, low: np.ndarray, high: np.ndarray) -> bool:
        edge = np.array(self.size_m) / 2 + 0.03  # frames on a wall reach into it
        inside = np.all(high[:2] <= edge) and np.all(low[:2] >= -edge)
        apart = (
            high[2] <= height or np.any(low[:2] >= zone[1]) or np.any(high[:2] <= zone[0])
            for zone, height in self.zones
        )
        return bool(inside and all(apart))

    def reserve(self, low: np.ndarray, high: np.ndarray, height_m: float = 0.0) -> None:
        self.zones.append((np.array([low[:2], high[:2]]), height_m))

    def against_wall(self, parts: list[Solid], walls: list[int], gap_m=0.02, depth_m=0.0, height_m=0.0) -> list[Solid]:
        """Place parts with their back to a wall and reserve `depth_m` in front; [] where they do not fit."""
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
        """Place parts anywhere, turned at random; [] where they do not fit."""
        for _ in range(20):
            x, y = (self.rng.uniform(-0.5, 0.5) * (size - 1.0) for size in self.size_m)
            placed = moved(parts, x, y, self.rng.uniform(0, 2 * np.pi))
            if self.free(*extent(placed)):
                self.reserve(*extent(placed))
                return placed
        return []
