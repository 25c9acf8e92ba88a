"""Fittings of a room: walls and floor, door, windows, pictures, rug, ceiling lamp.

Fittings on a wall have their back toward +y, as furniture has.
"""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic.materials import FABRICS, GREENS, WALLS, WHITE, WOODS, Style
from fastdepth_ros.data.synthetic.scene import Solid, ball, box, tube


def door(style: Style) -> list[Solid]:
    m = style.pick([style.white, style.upright])
    parts = [box(m, s * 0.47, -0.02, 0, 0.08, 0.05, 2.08) for s in (-1, 1)]
    parts += [box(m, 0, -0.02, 2.02, 1.02, 0.05, 0.08)]
    parts += [box(m, 0, 0, 0.01, 0.86, 0.03, 2.01), tube(style.metal, 0.35, -0.05, 1.0, 0.025, 0.05)]
    panels = [(x, z, 0.29, h) for x in (-0.19, 0.19) for z, h in ((0.15, 0.7), (1.05, 0.8))]
    parts += [box(m, x, -0.018, z, w, 0.012, h) for x, z, w, h in panels]
    return parts + [box(style.metal, 0.3, -0.07, 1.02, 0.12, 0.015, 0.018)]


def window(style: Style, w: float, h: float, z: float) -> list[Solid]:
    m, pane = style.white, style.fitted("outdoors", WHITE, (w, h), glow=1.15)
    parts = [box(pane, 0, 0, z, w, 0.01, h), box(m, 0, -0.05, z - 0.05, w + 0.2, 0.18, 0.04)]
    parts += [box(m, x, -0.015, z - 0.02, 0.06, 0.05, h + 0.05) for x in (-w / 2, 0, w / 2)]
    parts += [box(m, 0, -0.015, z + dz - 0.03, w + 0.06, 0.05, 0.06) for dz in (0, h)]
    if style.rng.random() < 0.75:
        cloth = style.fitted("folds", style.pick(FABRICS + WALLS), (0.6, 1.0))
        parts += [box(cloth, s * (w / 2 + 0.12), -0.1, 0.1, 0.36, 0.07, z + h + 0.05) for s in (-1, 1)]
        parts.append(box(style.metal, 0, -0.1, z + h + 0.14, w + 0.8, 0.025, 0.025))
    if style.rng.random() < 0.6:
        parts += [box(m, 0, -0.06, 0.15, w * 0.8, 0.09, 0.55)]
        parts += [box(m, x, -0.115, 0.17, 0.035, 0.02, 0.51) for x in np.linspace(-0.37, 0.37, 10) * w]
    return parts


def picture(style: Style) -> list[Solid]:
    w, h, z = style.between(0.4, 0.9), style.between(0.35, 0.7), style.between(1.3, 1.45)
    art = style.fitted("painting", style.pick(GREENS + WOODS + FABRICS), (w, h))
    frame = style.pick([style.wood, style.metal, style.white])
    return [box(frame, 0, 0, z, w + 0.08, 0.03, h + 0.08), box(art, 0, -0.008, z + 0.04, w, 0.02, h)]


def rug(style: Style) -> list[Solid]:
    w, d = style.between(1.2, 2.0), style.between(1.4, 2.4)
    weave = style.fitted(style.pick(["ornament", "carpet", "stripes"]), style.pick(FABRICS), (w, d))
    return [box(weave, 0, 0, 0, w, d, 0.012)]


def ceiling_lamp(style: Style, height_m: float) -> list[Solid]:
    shade = style.material("plain", (0.99, 0.96, 0.88), glow=1.1)
    if style.rng.random() < 0.5:
        return [tube(shade, 0, 0, height_m - 0.12, 0.2, 0.1), tube(style.metal, 0, 0, height_m - 0.02, 0.22, 0.02)]
    return [ball(shade, 0, 0, height_m - 0.4, 0.16, 0.16, 0.13), tube(style.metal, 0, 0, height_m - 0.3, 0.01, 0.3)]


def skirting(style: Style, width_m: float, length_m: float) -> list[Solid]:
    m = style.pick([style.white, style.wood])
    long = [box(m, 0, s * (length_m / 2 - 0.007), 0, width_m, 0.015, 0.09) for s in (-1, 1)]
    return long + [box(m, s * (width_m / 2 - 0.007), 0, 0, 0.015, length_m, 0.09) for s in (-1, 1)]


def room(style: Style, width_m: float, length_m: float, height_m: float) -> Solid:
    """Four walls (sometimes one of another color), a floor and a ceiling, seen from inside."""
    wall = style.material("plaster", style.pick(WALLS), 2.0)
    walls = [wall] * 4
    if style.rng.random() < 0.3:
        walls[int(style.rng.integers(4))] = style.material("plaster", style.pick(FABRICS + WALLS), 2.0)
    floor = style.pick([
        style.material("planks", style.pick(WOODS), 2.0),
        style.material("carpet", style.pick(FABRICS + WALLS[1:]), 1.2),
        style.material("tiles", style.pick(WALLS + WOODS[1:2]), style.between(1.2, 2.0), (0.5, 0.48, 0.45)),
    ])  # fmt: skip
    half = width_m / 2, length_m / 2, height_m / 2
    ceiling = style.material("plaster", WHITE, 2.0)
    return Solid("box", (0.0, 0.0, half[2]), half, (*walls, floor, ceiling), inward=True)
