"""Furniture: each piece is a list of solids around its own origin on the floor, with its back toward +y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastdepth_ros.data.synthetic.materials import FABRICS, GREENS, WALLS, WOODS, Style
from fastdepth_ros.data.synthetic.scene import Material, Solid, ball, box, moved, tube


def sofa(style: Style) -> list[Solid]:
    w, d, arm, seat = style.between(1.5, 2.2), style.between(0.8, 0.95), 0.2, style.between(0.36, 0.44)
    f, count = style.fabric, style.pick([2, 3])
    cushion = (w - 2 * arm) / count
    parts = [box(f, 0, 0, 0.08, w, d, seat - 0.22), box(f, 0, d / 2 - 0.1, 0.1, w, 0.2, seat + 0.33)]
    parts += [box(f, side * (w - arm) / 2, 0, 0.06, arm, d, seat + 0.14) for side in (-1, 1)]
    for i in range(count):
        x = (i - (count - 1) / 2) * cushion
        parts.append(box(f, x, -0.1, seat - 0.14, cushion - 0.015, d - 0.2, 0.14))
        parts.append(box(f, x, d / 2 - 0.27, seat + 0.01, cushion - 0.02, 0.15, 0.38, tilt=-0.16))
    other = style.material(style.pick(["cloth", "checks", "stripes"]), style.pick(FABRICS), 0.3)
    for side in (-1, 1):
        if style.rng.random() < 0.7:
            x = side * (w / 2 - arm - 0.22)
            parts.append(ball(other, x, d / 2 - 0.42, seat + 0.19, 0.2, 0.08, 0.19, yaw=-0.3 * side, tilt=-0.35))
    return parts


def bed(style: Style) -> list[Solid]:
    w, d, seat = style.between(1.0, 1.7), 2.05, style.between(0.42, 0.55)
    cover = style.material(
        style.pick(["checks", "cloth", "stripes"]), style.pick(FABRICS + WALLS), style.between(0.5, 1.0)
    )
    parts = [box(style.wood, 0, 0, 0.12, w, d, 0.16), box(style.wood, 0, d / 2 - 0.03, 0, w + 0.06, 0.06, seat + 0.5)]
    parts += [box(style.wood, s * (w / 2 - 0.05), 0.05 - d / 2, 0, 0.07, 0.07, 0.2) for s in (-1, 1)]
    parts += [box(style.white, 0, -0.03, 0.28, w - 0.02, d - 0.08, seat - 0.28)]
    parts += [box(cover, 0, -0.33, seat - 0.18, w + 0.03, d - 0.62, 0.22)]
    count = 2 if w > 1.3 else 1
    for i in range(count):
        x = (i - (count - 1) / 2) * w / 2
        parts.append(ball(style.white, x, d / 2 - 0.33, seat + 0.07, 0.32, 0.21, 0.11))
    return parts


def shelf(style: Style) -> list[Solid]:
    w, d, h, levels = style.between(0.75, 1.2), style.between(0.26, 0.36), style.between(1.6, 2.1), style.pick([4, 5])
    m, step = style.wood, (h - 0.1) / levels
    parts = [box(style.upright, side * (w - 0.025) / 2, 0, 0, 0.025, d, h) for side in (-1, 1)]
    parts += [box(m, 0, d / 2 - 0.01, 0.05, w - 0.05, 0.02, h - 0.06)]
    for i in range(levels + 1):
        parts.append(box(m, 0, 0, 0.07 + i * step, w - 0.05, d - 0.01, 0.025))
    for i in range(levels):
        z, x, room = 0.095 + i * step, -w / 2 + 0.03, w - 0.06
        while room > 0.15:
            width = min(room, style.between(0.15, 0.5))
            parts += _shelf_content(style, x + width / 2, z, width - 0.02, d, step - 0.06)
            x, room = x + width, room - width
    return parts


def _shelf_content(style: Style, x: float, z: float, w: float, d: float, high: float) -> list[Solid]:
    kind = style.rng.random()
    if kind < 0.6:
        h = high * style.between(0.6, 0.95)
        spines = replace(style.pick(style.spines), span_m=(0.55, h))
        return [box(spines, x, style.between(-0.03, 0.03), z, w, d * 0.6, h)]
    if kind < 0.8:
        r = min(w / 2, 0.08)
        return [tube(style.material("plain", style.pick(FABRICS + WALLS)), x, 0, z, r, high * style.between(0.4, 0.8))]
    if kind < 0.9:
        m = style.material("plain", style.pick(WOODS))
        return [box(m, x, 0, z, w * 0.8, d * 0.7, high * style.between(0.3, 0.7))]
    return []


def _legs(style: Style, w: float, d: float, h: float, thick: float, m: Material) -> list[Solid]:
    spots = [(i * (w - thick) / 2, j * (d - thick) / 2) for i in (-1, 1) for j in (-1, 1)]
    if style.rng.random() < 0.4:
        return [tube(m, x, y, 0, thick / 2, h) for x, y in spots]
    return [box(m, x, y, 0, thick, thick, h) for x, y in spots]


def _clutter(style: Style, w: float, d: float, z: float) -> list[Solid]:
    """Small objects on a board of width w and depth d, at the height z."""
    parts = []
    for i in range(int(style.rng.integers(1, 5))):
        x, y = (i / 4 - 0.38) * w + style.between(-0.03, 0.03), style.between(-0.3, 0.3) * d
        yaw = style.between(-0.5, 0.5)
        m = style.material("plain", style.pick(FABRICS + WALLS + WOODS))
        kind = style.rng.random()
        if kind < 0.3:
            parts.append(tube(m, x, y, z, 0.04, 0.1))
        elif kind < 0.5:
            parts.append(tube(m, x, y, z, style.between(0.04, 0.08), style.between(0.15, 0.3)))
        elif kind < 0.8:
            parts.append(box(m, x, y, z, 0.21, 0.28, style.between(0.02, 0.08), yaw=yaw))
        else:
            parts.append(ball(m, x, y, z + 0.06, 0.12, 0.12, 0.06))
    return parts


def desk(style: Style) -> list[Solid]:
    w, d, h = style.between(1.1, 1.6), style.between(0.6, 0.75), style.between(0.71, 0.77)
    parts = [box(style.wood, 0, 0, h - 0.03, w, d, 0.03)]
    parts += _legs(style, w - 0.04, d - 0.04, h - 0.03, 0.05, style.metal)
    screen = style.fitted("plain", (0.06, 0.06, 0.07), (0.5, 0.3))
    x = style.between(-0.15, 0.15) * w
    parts += [box(screen, x, d * 0.2, h + 0.1, 0.55, 0.03, 0.33), box(style.metal, x, d * 0.22, h, 0.06, 0.04, 0.15)]
    parts += [box(style.metal, x, d * 0.22, h, 0.22, 0.16, 0.012), box(style.metal, x, -d * 0.2, h, 0.42, 0.13, 0.02)]
    drawers = _drawers(style, 0.4, d - 0.08, 0.55, 3, style.wood)
    return parts + moved(drawers, w / 2 - 0.26, 0.02) + moved(_clutter(style, 0.35, d, h), -w / 2 + 0.25, 0)


def table(style: Style) -> list[Solid]:
    h = style.between(0.7, 0.76)
    if style.rng.random() < 0.3:
        r = style.between(0.45, 0.6)
        parts = [tube(style.wood, 0, 0, h - 0.03, r, 0.03), tube(style.upright, 0, 0, 0.02, 0.045, h - 0.05)]
        parts += [tube(style.wood, 0, 0, 0, r * 0.55, 0.03)]
        w = d = 1.3 * r
    else:
        w, d = style.between(1.1, 1.6), style.between(0.7, 0.9)
        parts = [box(style.wood, 0, 0, h - 0.03, w, d, 0.03)]
        parts += _legs(style, w - 0.08, d - 0.08, h - 0.03, 0.065, style.upright)
        parts += [box(style.wood, 0, s * (d / 2 - 0.07), h - 0.11, w - 0.2, 0.02, 0.08) for s in (-1, 1)]
    chairs = []
    for side in range(style.pick([1, 2, 2])):
        chairs += moved(moved(chair(style), style.between(-0.2, 0.2), d / 2 + 0.12), 0, 0, side * np.pi)
    return parts + moved(_clutter(style, w * 0.8, d * 0.7, h), 0, 0) + chairs


def chair(style: Style) -> list[Solid]:
    m, w, seat = style.wood, style.between(0.4, 0.46), style.between(0.43, 0.47)
    parts = [box(style.pick([m, style.fabric]), 0, 0, seat - 0.04, w, w, 0.045)]
    parts += _legs(style, w, w, seat - 0.04, 0.04, style.upright)
    for x in (0.02 - w / 2, w / 2 - 0.02):
        parts.append(box(style.upright, x, w / 2 + 0.03, seat - 0.02, 0.035, 0.035, 0.48, tilt=-0.12))
    for dz in (0.1, 0.3):
        parts.append(box(m, 0, w / 2 + 0.03 + dz * 0.12, seat + dz, w - 0.04, 0.02, 0.12, tilt=-0.12))
    return parts


def coffee_table(style: Style) -> list[Solid]:
    w, d, h = style.between(0.8, 1.2), style.between(0.5, 0.65), style.between(0.38, 0.46)
    parts = [box(style.wood, 0, 0, h - 0.04, w, d, 0.04)]
    parts += _legs(style, w - 0.06, d - 0.06, h - 0.04, 0.06, style.upright)
    parts += [box(style.wood, 0, 0, 0.14, w - 0.1, d - 0.1, 0.02)]
    return parts + _clutter(style, w, d, h)


def _drawers(style: Style, w: float, d: float, h: float, count: int, m: Material) -> list[Solid]:
    parts, step = [box(m, 0, 0, 0.05, w, d, h - 0.05)], (h - 0.09) / count
    for i in range(count):
        z = 0.07 + i * step
        parts.append(box(m, 0, -d / 2 - 0.008, z, w - 0.03, 0.018, step - 0.015))
        parts.append(ball(style.metal, 0, -d / 2 - 0.03, z + step / 2, 0.04, 0.014, 0.012))
    return parts


def dresser(style: Style) -> list[Solid]:
    w, d, h = style.between(0.8, 1.4), style.between(0.4, 0.5), style.between(0.6, 0.9)
    parts = _drawers(style, w, d, h, style.pick([2, 3, 4]), style.wood)
    parts.append(box(style.wood, 0, 0, h, w + 0.03, d + 0.02, 0.025))
    if style.rng.random() < 0.4:
        tv = style.material("plain", (0.05, 0.05, 0.06))
        return parts + [box(tv, 0, 0, h + 0.07, 0.95, 0.05, 0.55), box(tv, 0, 0, h + 0.02, 0.4, 0.2, 0.06)]
    return parts + _clutter(style, w, d, h + 0.025)


def wardrobe(style: Style) -> list[Solid]:
    w, d, h = style.between(0.9, 1.6), style.between(0.5, 0.6), style.between(1.8, 2.2)
    m = style.pick([style.upright, style.white])
    parts = [box(m, 0, 0, 0.04, w, d, h - 0.04), box(m, 0, -0.01, h, w + 0.04, d + 0.02, 0.04)]
    for side in (-1, 1):
        parts.append(box(m, side * w / 4, -d / 2 - 0.01, 0.1, w / 2 - 0.02, 0.02, h - 0.14))
        parts.append(box(style.metal, side * 0.05, -d / 2 - 0.035, h * 0.48, 0.012, 0.03, 0.14))
    return parts


def kitchen(style: Style) -> list[Solid]:
    w, d = style.between(1.6, 2.4), 0.6
    front, top = style.pick([style.white, style.wood]), style.material("plain", style.pick(WOODS + FABRICS))
    splash = style.material("tiles", style.pick(WALLS), 0.6, (0.7, 0.7, 0.68))
    parts = [box(front, 0, 0.03, 0.1, w, d - 0.06, 0.76), box(top, 0, 0, 0.86, w, d, 0.04)]
    parts += [box(front, 0, 0.12, 1.4, w, 0.34, 0.65), box(splash, 0, d / 2 - 0.01, 0.9, w, 0.015, 0.5)]
    for i in range(count := round(w / 0.5)):
        x, step = (i + 0.5) * w / count - w / 2, w / count - 0.015
        parts += [box(front, x, -d / 2 + 0.05, 0.12, step, 0.02, 0.72), box(front, x, -0.06, 1.41, step, 0.02, 0.63)]
        parts += [box(style.metal, x, -d / 2 + 0.025, 0.74, 0.16, 0.02, 0.012)]
    return parts + _clutter(style, w, 0.4, 0.9)


def plant(style: Style) -> list[Solid]:
    r, h = style.between(0.13, 0.2), style.between(0.25, 0.4)
    parts = [tube(style.material("plain", style.pick(WOODS + WALLS)), 0, 0, 0, r, h)]
    leaf = style.material("carpet", style.pick(GREENS), 0.25)
    for _ in range(14):
        yaw, lean, up = style.between(0, 6.28), style.between(0.1, 0.35), style.between(0.1, 0.65)
        x, y = lean * np.cos(yaw), lean * np.sin(yaw)
        parts.append(ball(leaf, x, y, h + up, 0.05, 0.17, 0.035, yaw=yaw - np.pi / 2, tilt=style.between(0.3, 1.2)))
    return [*parts, tube(style.material("plain", WOODS[2]), 0, 0, h, 0.02, 0.4)]


def floor_lamp(style: Style) -> list[Solid]:
    h = style.between(1.45, 1.7)
    shade = style.material("plain", (0.98, 0.88, 0.70), glow=1.05)
    parts = [tube(style.metal, 0, 0, 0, 0.14, 0.025), tube(style.metal, 0, 0, 0, 0.013, h)]
    return [*parts, tube(shade, 0, 0, h - 0.12, 0.19, 0.27)]


def carton(style: Style) -> list[Solid]:
    m = style.material("plain", (0.68, 0.53, 0.36))
    w, d, h = (style.between(0.3, 0.5) for _ in range(3))
    return [box(m, 0, 0, 0, w, d, h), box(m, 0.02, 0.01, h, w * 0.7, d * 0.7, h * 0.6, yaw=style.between(-0.4, 0.4))]


# by the kind of room: along the walls and in the middle; ANYWHERE: in any room
FURNITURE = {
    "living": [sofa, dresser, shelf, floor_lamp, plant, sofa, shelf],
    "bedroom": [bed, wardrobe, dresser, desk, plant, carton],
    "office": [desk, shelf, desk, shelf, wardrobe, carton, plant],
    "kitchen": [kitchen, dresser, shelf, plant, carton],
}
IN_THE_MIDDLE = {"living": coffee_table, "bedroom": chair, "office": chair, "kitchen": table}
ANYWHERE = [chair, carton, plant, coffee_table]
