"""Furnished rooms from a seed."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic import fittings
from fastdepth_ros.data.synthetic.furniture import ANYWHERE, FURNITURE, IN_THE_MIDDLE
from fastdepth_ros.data.synthetic.layout import Layout
from fastdepth_ros.data.synthetic.parts import box, extent, moved
from fastdepth_ros.data.synthetic.scene import CameraPath, Light, Material, Scene, Solid, as_vector
from fastdepth_ros.data.synthetic.style import Style
from fastdepth_ros.data.synthetic.textures import WHITE


def random_scene(seed: int) -> Scene:
    """A furnished room of 3 to 6 m by 3 to 6 m, its lamps and windows, and a camera's way through it.

    The first solid is the room itself, centered on the origin, floor at z = 0.
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
    """A loop near one wall, looking away from it, with room kept free around."""
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
    """The light that a glowing solid sheds."""
    glow = part.materials[0].glow
    if not glow:
        return []
    half = part.half_m
    if part.materials[0].texture == "outdoors":
        along, out, up = part.rotation().T
        center = np.array(part.center_m) - 0.12 * out  # in front of the frame, which would shade it
        power = 2.2 * 4 * half[0] * half[2] * np.array([0.92, 0.98, 1.05])
        sides = as_vector(along * half[0]), as_vector(up * half[2])
        return [Light(as_vector(center), *sides, as_vector(power), as_vector(-out))]
    power = np.array([1.0, 0.9, 0.75]) * (1.6 if part.center_m[2] > 1.9 else 0.35)
    return [Light(part.center_m, (half[0], 0.0, 0.0), (0.0, half[1], 0.0), as_vector(power))]
