"""Furnished rooms from a seed, and what a moving camera sees in them: colour with exact depth.

This file describes (textures, furniture, rooms, the camera's way); `raycast` draws. A piece of furniture is a list of
solids around its own origin on the floor, with its back towards +y; `random_scene` picks pieces and finds them a place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fastdepth_ros.data.raycast import TILE_PX, Camera, CameraPath, Light, Material, Renderer, Scene, Solid, Vector

KINECT = Camera(518.858, 519.470, 324.58, 252.74, 640, 480)

NOISE = 0.012  # of the sensor, in [0, 1]
BLUR_PX = 0.6  # of the lens, and of the edges between solids
VIGNETTE = 0.22  # light lost in the corners

WHITE = (0.92, 0.91, 0.88)
WALLS = [WHITE, (0.90, 0.86, 0.76), (0.80, 0.83, 0.78), (0.76, 0.82, 0.86), (0.84, 0.80, 0.77), (0.86, 0.78, 0.66)]
WOODS = [(0.55, 0.36, 0.20), (0.70, 0.52, 0.33), (0.38, 0.24, 0.15), (0.80, 0.66, 0.48), (0.48, 0.26, 0.15)]
FABRICS = [(0.45, 0.20, 0.18), (0.25, 0.32, 0.45), (0.55, 0.50, 0.42), (0.30, 0.30, 0.30), (0.36, 0.42, 0.28),
           (0.72, 0.66, 0.56), (0.20, 0.22, 0.30)]  # fmt: skip
METAL = (0.30, 0.30, 0.31)
GREENS = [(0.18, 0.33, 0.13), (0.28, 0.40, 0.18), (0.22, 0.36, 0.22)]


@dataclass(frozen=True)
class SyntheticFrame:
    """`rgb` uint8 HxWx3; `depth` float32 HxW metres along the optical axis (0: nothing hit), exact at pixel centres;
    `pose` float64 4x4 from the camera (x right, y down, z forward) to the world (z up, floor at 0)."""

    rgb: np.ndarray
    depth: np.ndarray
    pose: np.ndarray


# ---------------------------------------------------------------------------------------------------------- textures

TEXTURES: dict[str, Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]] = {}


def texture(draw):
    """Registers a function (rng, colour, accent) -> float TILE_PX x TILE_PX x 3 in [0, 1] under its name."""
    TEXTURES[draw.__name__] = draw
    return draw


def paint(material: Material) -> np.ndarray:
    """The tile of a material, uint8 TILE_PX x TILE_PX x 3, row 0 at the bottom.

    Raises:
        ValueError: an unknown texture.
    """
    if material.texture not in TEXTURES:
        raise ValueError(f"texture {material.texture!r} is none of {', '.join(TEXTURES)}")
    rng = np.random.default_rng(material.seed)
    tile = TEXTURES[material.texture](rng, np.array(material.colour), np.array(material.accent))
    return np.clip(tile * 255, 0, 255).astype(np.uint8)


def noise(rng: np.random.Generator, columns: int, rows: int) -> np.ndarray:
    """Smooth noise with that many cells per tile (powers of two), mean 0, deviation about 1, T x T x 1, seamless."""
    return _enlarged(rng.standard_normal((rows, columns), np.float32), TILE_PX // columns, TILE_PX // rows)[..., None]


def _enlarged(grid: np.ndarray, by_x: int, by_y: int) -> np.ndarray:
    """A seamless image, smoothly larger, and still seamless."""
    wide = cv2.resize(np.pad(grid, 2, "wrap"), None, fx=by_x, fy=by_y, interpolation=cv2.INTER_CUBIC)
    return wide[2 * by_y : -2 * by_y, 2 * by_x : -2 * by_x]


def clouds(rng: np.random.Generator, first: int = 2, octaves: int = 5) -> np.ndarray:
    """Noise of several sizes, from `first` cells per tile; deviation about 1, T x T x 1, seamless."""
    cells, grid = first, rng.standard_normal((first, first), np.float32)
    for octave in range(1, octaves):
        cells *= 2
        grid = _enlarged(grid, 2, 2) + np.float32(0.6**octave) * rng.standard_normal((cells, cells), np.float32)
    return 0.7 * _enlarged(grid, TILE_PX // cells, TILE_PX // cells)[..., None]


def _mix(colour, accent, weight):
    return colour + (accent - colour) * weight


@texture
def plain(rng, colour, accent):
    return colour * (1 + 0.03 * clouds(rng) + 0.015 * noise(rng, 256, 256))


@texture
def plaster(rng, colour, accent):
    return colour * (1 + 0.02 * clouds(rng, 1, 4) + 0.008 * noise(rng, 128, 128) + 0.008 * noise(rng, 256, 256))


@texture
def wood(rng, colour, accent):
    rings = np.sin(9 * noise(rng, 2, 16) + 4 * noise(rng, 4, 64))
    return colour * (1 + 0.07 * rings + 0.07 * noise(rng, 4, 128) + 0.05 * noise(rng, 16, 256) + 0.04 * clouds(rng))


@texture
def wood_upright(rng, colour, accent):
    return wood(rng, colour, accent).transpose(1, 0, 2)


@texture
def planks(rng, colour, accent, rows=16):
    tile, height = wood(rng, colour, accent), TILE_PX // rows
    tone = np.ones((TILE_PX, TILE_PX, 1))
    for row in range(rows):
        band = slice(row * height, (row + 1) * height)
        start, end = sorted(rng.choice(TILE_PX, 2, replace=False))
        tone[band] *= rng.normal(1, 0.11)
        tone[band, start:end] *= rng.normal(1, 0.11)
        tone[band, [start, end - 1]] *= 0.55
        tone[band.stop - 1] *= 0.6
    return tile * np.clip(tone, 0.4, 1.5)


@texture
def tiles(rng, colour, accent, count=4):
    side = TILE_PX // count
    tone = rng.normal(1, 0.04, (count, count)).repeat(side, 0).repeat(side, 1)[..., None]
    at = np.arange(TILE_PX) % side
    grout = (np.minimum(at, side - at) < 2).astype(float)
    grout = np.maximum(grout[:, None], grout)[..., None]
    return _mix(colour * (tone + 0.03 * clouds(rng, 4, 5)), accent, grout)


@texture
def carpet(rng, colour, accent):
    return colour * (1 + 0.13 * noise(rng, 256, 256) + 0.06 * noise(rng, 128, 128) + 0.04 * clouds(rng))


@texture
def cloth(rng, colour, accent):
    return colour * (1 + 0.04 * noise(rng, 256, 64) + 0.04 * noise(rng, 64, 256) + 0.05 * clouds(rng, 2, 4))


@texture
def checks(rng, colour, accent, count=6):
    band = (np.sin(np.arange(TILE_PX) * (2 * np.pi * count / TILE_PX)) > 0.2) * 0.5
    return _mix(cloth(rng, colour, colour), accent, (band[:, None] + band)[..., None])


@texture
def stripes(rng, colour, accent, count=5):
    wave = np.sin(np.arange(TILE_PX) * (2 * np.pi * count / TILE_PX))
    return _mix(cloth(rng, colour, colour), accent, np.broadcast_to((wave > 0.5), (TILE_PX, TILE_PX))[..., None])


@texture
def folds(rng, colour, accent):
    wave = np.sin(np.arange(TILE_PX) * (2 * np.pi * 7 / TILE_PX) + 1.5 * noise(rng, 4, 2)[..., 0])
    return colour * (0.85 + 0.15 * wave[..., None] + 0.03 * noise(rng, 128, 16))


@texture
def ornament(rng, colour, accent):
    """A carpet with a border."""
    at = np.abs(np.arange(TILE_PX) - TILE_PX / 2) / TILE_PX
    edge = np.maximum(at[:, None], at)
    rings = (np.sin(edge * 70) > 0.3) * (edge > 0.33) + (np.sin(at * 60)[:, None] * np.sin(at * 60) > 0.4) * (
        edge < 0.33
    )
    return _mix(carpet(rng, colour, colour), accent, 0.7 * rings[..., None])


@texture
def books(rng, colour, accent):
    """A shelf's width of spines; the tops differ in height, above them it is dark."""
    tile, x = np.full((TILE_PX, TILE_PX, 3), 0.10), 0
    while x < TILE_PX:
        end = x + int(rng.integers(14, 38))
        spine = np.array(FABRICS[rng.integers(len(FABRICS))]) if rng.random() < 0.6 else rng.uniform(0.15, 0.9, 3)
        top = int(rng.uniform(0.72, 1.0) * TILE_PX)
        tile[:top, x:end] = spine
        tile[:top, end - 2 : end] *= 0.5
        if rng.random() < 0.6:
            low = int(rng.uniform(0.15, 0.6) * TILE_PX)
            tile[low : low + int(rng.integers(20, 90)), x + 2 : end - 2] = rng.uniform(0.6, 0.95)
        x = end
    return tile * (1 + 0.05 * clouds(rng, 4, 4))


@texture
def painting(rng, colour, accent):
    """Somebody's landscape: two colours under a third, with strokes."""
    height = np.linspace(0, 1, TILE_PX)[:, None, None]
    hills = 1 / (1 + np.exp(-30 * (height - 0.5 - 0.12 * noise(rng, 2, 1) - 0.04 * noise(rng, 8, 1))))
    strokes = 1 + 0.12 * noise(rng, 64, 32) + 0.1 * clouds(rng, 4, 4)
    patches = noise(rng, 4, 8) > 1.0
    return _mix(_mix(colour, accent, hills), rng.uniform(0.3, 0.9, 3), 0.7 * patches) * strokes


@texture
def outdoors(rng, colour, accent):
    """An over-exposed garden behind a window."""
    height = np.linspace(0, 1, TILE_PX)[:, None, None]
    trees = 1 / (1 + np.exp(-14 * (height - 0.45 - 0.12 * noise(rng, 4, 1) - 0.08 * noise(rng, 8, 8))))
    return _mix(np.array([0.62, 0.70, 0.55]) * (1 + 0.12 * clouds(rng, 4, 4)), np.array([0.97, 0.98, 1.0]), trees)


# --------------------------------------------------------------------------------------------------------- furniture


class Maker:
    """Materials and furniture of one room: what it makes goes together, and is the same for the same rng."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.wood = self.material("wood", self.pick(WOODS), span_m=(1.2, 0.6))
        self.upright = replace(self.wood, texture="wood_upright", span_m=(0.6, 1.2))
        self.fabric = self.material(self.pick(["cloth", "cloth", "checks", "stripes"]), self.pick(FABRICS), 0.6)
        self.metal = self.material("plain", METAL)
        self.white = self.material("plain", WHITE)
        self.spines = [self.material("books", WHITE) for _ in range(2)]

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def material(self, name: str, colour: Vector, span_m=1.0, accent: Vector | None = None, glow=0.0) -> Material:
        """A material whose colour varies a little around the one given."""
        vary = self.rng.normal(1, 0.05) * self.rng.normal(1, 0.02, 3)
        colour = as_vector(np.clip(np.array(colour) * vary, 0.02, 0.98))
        other = as_vector(self.rng.uniform(0.25, 0.9, 3)) if accent is None else accent
        span_m = span_m if isinstance(span_m, tuple) else (span_m, span_m)
        return Material(name, colour, other, span_m, int(self.rng.integers(1 << 30)), glow)

    def fitted(self, name: str, colour: Vector, size_m: tuple[float, float], glow=0.0) -> Material:
        """A material that spans a face exactly once."""
        return self.material(name, colour, size_m, self.pick([*WALLS, *GREENS, *FABRICS]), glow)

    def sofa(self) -> list[Solid]:
        w, d, arm, seat = self.between(1.5, 2.2), self.between(0.8, 0.95), 0.2, self.between(0.36, 0.44)
        f, count = self.fabric, self.pick([2, 3])
        cushion = (w - 2 * arm) / count
        parts = [box(f, 0, 0, 0.08, w, d, seat - 0.22), box(f, 0, d / 2 - 0.1, 0.1, w, 0.2, seat + 0.33)]
        parts += [box(f, side * (w - arm) / 2, 0, 0.06, arm, d, seat + 0.14) for side in (-1, 1)]
        for i in range(count):
            x = (i - (count - 1) / 2) * cushion
            parts.append(box(f, x, -0.1, seat - 0.14, cushion - 0.015, d - 0.2, 0.14))
            parts.append(box(f, x, d / 2 - 0.27, seat + 0.01, cushion - 0.02, 0.15, 0.38, tilt=-0.16))
        other = self.material(self.pick(["cloth", "checks", "stripes"]), self.pick(FABRICS), 0.3)
        for side in (-1, 1):
            if self.rng.random() < 0.7:
                x = side * (w / 2 - arm - 0.22)
                parts.append(ball(other, x, d / 2 - 0.42, seat + 0.19, 0.2, 0.08, 0.19, yaw=-0.3 * side, tilt=-0.35))
        return parts

    def bed(self) -> list[Solid]:
        w, d, seat = self.between(1.0, 1.7), 2.05, self.between(0.42, 0.55)
        cover = self.material(
            self.pick(["checks", "cloth", "stripes"]), self.pick(FABRICS + WALLS), self.between(0.5, 1.0)
        )
        parts = [box(self.wood, 0, 0, 0.12, w, d, 0.16), box(self.wood, 0, d / 2 - 0.03, 0, w + 0.06, 0.06, seat + 0.5)]
        parts += [box(self.wood, s * (w / 2 - 0.05), 0.05 - d / 2, 0, 0.07, 0.07, 0.2) for s in (-1, 1)]
        parts += [box(self.white, 0, -0.03, 0.28, w - 0.02, d - 0.08, seat - 0.28)]
        parts += [box(cover, 0, -0.33, seat - 0.18, w + 0.03, d - 0.62, 0.22)]
        count = 2 if w > 1.3 else 1
        for i in range(count):
            x = (i - (count - 1) / 2) * w / 2
            parts.append(ball(self.white, x, d / 2 - 0.33, seat + 0.07, 0.32, 0.21, 0.11))
        return parts

    def shelf(self) -> list[Solid]:
        w, d, h, levels = self.between(0.75, 1.2), self.between(0.26, 0.36), self.between(1.6, 2.1), self.pick([4, 5])
        m, step = self.wood, (h - 0.1) / levels
        parts = [box(self.upright, side * (w - 0.025) / 2, 0, 0, 0.025, d, h) for side in (-1, 1)]
        parts += [box(m, 0, d / 2 - 0.01, 0.05, w - 0.05, 0.02, h - 0.06)]
        for i in range(levels + 1):
            parts.append(box(m, 0, 0, 0.07 + i * step, w - 0.05, d - 0.01, 0.025))
        for i in range(levels):
            z, x, room = 0.095 + i * step, -w / 2 + 0.03, w - 0.06
            while room > 0.15:
                width = min(room, self.between(0.15, 0.5))
                parts += self._shelf_content(x + width / 2, z, width - 0.02, d, step - 0.06)
                x, room = x + width, room - width
        return parts

    def _shelf_content(self, x: float, z: float, w: float, d: float, high: float) -> list[Solid]:
        kind = self.rng.random()
        if kind < 0.6:
            h = high * self.between(0.6, 0.95)
            spines = replace(self.pick(self.spines), span_m=(0.55, h))
            return [box(spines, x, self.between(-0.03, 0.03), z, w, d * 0.6, h)]
        if kind < 0.8:
            r = min(w / 2, 0.08)
            return [tube(self.material("plain", self.pick(FABRICS + WALLS)), x, 0, z, r, high * self.between(0.4, 0.8))]
        if kind < 0.9:
            return [
                box(self.material("plain", self.pick(WOODS)), x, 0, z, w * 0.8, d * 0.7, high * self.between(0.3, 0.7))
            ]
        return []

    def _legs(self, w: float, d: float, h: float, thick: float, m: Material) -> list[Solid]:
        spots = [(i * (w - thick) / 2, j * (d - thick) / 2) for i in (-1, 1) for j in (-1, 1)]
        if self.rng.random() < 0.4:
            return [tube(m, x, y, 0, thick / 2, h) for x, y in spots]
        return [box(m, x, y, 0, thick, thick, h) for x, y in spots]

    def _clutter(self, w: float, d: float, z: float) -> list[Solid]:
        """Things that lie about on a board of that size."""
        parts = []
        for i in range(int(self.rng.integers(1, 5))):
            x, y, yaw = (
                (i / 4 - 0.38) * w + self.between(-0.03, 0.03),
                self.between(-0.3, 0.3) * d,
                self.between(-0.5, 0.5),
            )
            m = self.material("plain", self.pick(FABRICS + WALLS + WOODS))
            kind = self.rng.random()
            if kind < 0.3:
                parts.append(tube(m, x, y, z, 0.04, 0.1))
            elif kind < 0.5:
                parts.append(tube(m, x, y, z, self.between(0.04, 0.08), self.between(0.15, 0.3)))
            elif kind < 0.8:
                parts.append(box(m, x, y, z, 0.21, 0.28, self.between(0.02, 0.08), yaw=yaw))
            else:
                parts.append(ball(m, x, y, z + 0.06, 0.12, 0.12, 0.06))
        return parts

    def desk(self) -> list[Solid]:
        w, d, h = self.between(1.1, 1.6), self.between(0.6, 0.75), self.between(0.71, 0.77)
        parts = [
            box(self.wood, 0, 0, h - 0.03, w, d, 0.03),
            *self._legs(w - 0.04, d - 0.04, h - 0.03, 0.05, self.metal),
        ]
        screen = self.fitted("plain", (0.06, 0.06, 0.07), (0.5, 0.3))
        x = self.between(-0.15, 0.15) * w
        parts += [box(screen, x, d * 0.2, h + 0.1, 0.55, 0.03, 0.33), box(self.metal, x, d * 0.22, h, 0.06, 0.04, 0.15)]
        parts += [box(self.metal, x, d * 0.22, h, 0.22, 0.16, 0.012), box(self.metal, x, -d * 0.2, h, 0.42, 0.13, 0.02)]
        drawers = self._drawers(0.4, d - 0.08, 0.55, 3, self.wood)
        return parts + moved(drawers, w / 2 - 0.26, 0.02) + moved(self._clutter(0.35, d, h), -w / 2 + 0.25, 0)

    def table(self) -> list[Solid]:
        h = self.between(0.7, 0.76)
        if self.rng.random() < 0.3:
            r = self.between(0.45, 0.6)
            parts = [tube(self.wood, 0, 0, h - 0.03, r, 0.03), tube(self.upright, 0, 0, 0.02, 0.045, h - 0.05)]
            parts += [tube(self.wood, 0, 0, 0, r * 0.55, 0.03)]
            w = d = 1.3 * r
        else:
            w, d = self.between(1.1, 1.6), self.between(0.7, 0.9)
            parts = [
                box(self.wood, 0, 0, h - 0.03, w, d, 0.03),
                *self._legs(w - 0.08, d - 0.08, h - 0.03, 0.065, self.upright),
            ]
            parts += [box(self.wood, 0, s * (d / 2 - 0.07), h - 0.11, w - 0.2, 0.02, 0.08) for s in (-1, 1)]
        chairs = []
        for side in range(self.pick([1, 2, 2])):
            chairs += moved(moved(self.chair(), self.between(-0.2, 0.2), d / 2 + 0.12), 0, 0, side * np.pi)
        return parts + moved(self._clutter(w * 0.8, d * 0.7, h), 0, 0) + chairs

    def chair(self) -> list[Solid]:
        m, w, seat = self.wood, self.between(0.4, 0.46), self.between(0.43, 0.47)
        parts = [
            box(self.pick([m, self.fabric]), 0, 0, seat - 0.04, w, w, 0.045),
            *self._legs(w, w, seat - 0.04, 0.04, self.upright),
        ]
        parts += [
            box(self.upright, s * (w / 2 - 0.02), w / 2 + 0.03, seat - 0.02, 0.035, 0.035, 0.48, tilt=-0.12)
            for s in (-1, 1)
        ]
        return parts + [
            box(m, 0, w / 2 + 0.03 + dz * 0.12, seat + dz, w - 0.04, 0.02, 0.12, tilt=-0.12) for dz in (0.1, 0.3)
        ]

    def coffee_table(self) -> list[Solid]:
        w, d, h = self.between(0.8, 1.2), self.between(0.5, 0.65), self.between(0.38, 0.46)
        parts = [
            box(self.wood, 0, 0, h - 0.04, w, d, 0.04),
            *self._legs(w - 0.06, d - 0.06, h - 0.04, 0.06, self.upright),
        ]
        return parts + [box(self.wood, 0, 0, 0.14, w - 0.1, d - 0.1, 0.02)] + self._clutter(w, d, h)

    def _drawers(self, w: float, d: float, h: float, count: int, m: Material) -> list[Solid]:
        parts, step = [box(m, 0, 0, 0.05, w, d, h - 0.05)], (h - 0.09) / count
        for i in range(count):
            z = 0.07 + i * step
            parts.append(box(m, 0, -d / 2 - 0.008, z, w - 0.03, 0.018, step - 0.015))
            parts.append(ball(self.metal, 0, -d / 2 - 0.03, z + step / 2, 0.04, 0.014, 0.012))
        return parts

    def dresser(self) -> list[Solid]:
        w, d, h = self.between(0.8, 1.4), self.between(0.4, 0.5), self.between(0.6, 0.9)
        parts = [
            *self._drawers(w, d, h, self.pick([2, 3, 4]), self.wood),
            box(self.wood, 0, 0, h, w + 0.03, d + 0.02, 0.025),
        ]
        if self.rng.random() < 0.4:
            tv = self.material("plain", (0.05, 0.05, 0.06))
            return parts + [box(tv, 0, 0, h + 0.07, 0.95, 0.05, 0.55), box(tv, 0, 0, h + 0.02, 0.4, 0.2, 0.06)]
        return parts + self._clutter(w, d, h + 0.025)

    def wardrobe(self) -> list[Solid]:
        w, d, h = self.between(0.9, 1.6), self.between(0.5, 0.6), self.between(1.8, 2.2)
        m = self.pick([self.upright, self.white])
        parts = [box(m, 0, 0, 0.04, w, d, h - 0.04), box(m, 0, -0.01, h, w + 0.04, d + 0.02, 0.04)]
        for side in (-1, 1):
            parts.append(box(m, side * w / 4, -d / 2 - 0.01, 0.1, w / 2 - 0.02, 0.02, h - 0.14))
            parts.append(box(self.metal, side * 0.05, -d / 2 - 0.035, h * 0.48, 0.012, 0.03, 0.14))
        return parts

    def kitchen(self) -> list[Solid]:
        w, d = self.between(1.6, 2.4), 0.6
        front, top = self.pick([self.white, self.wood]), self.material("plain", self.pick(WOODS + FABRICS))
        splash = self.material("tiles", self.pick(WALLS), 0.6, (0.7, 0.7, 0.68))
        parts = [box(front, 0, 0.03, 0.1, w, d - 0.06, 0.76), box(top, 0, 0, 0.86, w, d, 0.04)]
        parts += [box(front, 0, 0.12, 1.4, w, 0.34, 0.65), box(splash, 0, d / 2 - 0.01, 0.9, w, 0.015, 0.5)]
        for i in range(count := round(w / 0.5)):
            x, step = (i + 0.5) * w / count - w / 2, w / count - 0.015
            parts += [
                box(front, x, -d / 2 + 0.05, 0.12, step, 0.02, 0.72),
                box(front, x, -0.06, 1.41, step, 0.02, 0.63),
            ]
            parts += [box(self.metal, x, -d / 2 + 0.025, 0.74, 0.16, 0.02, 0.012)]
        return parts + self._clutter(w, 0.4, 0.9)

    def plant(self) -> list[Solid]:
        r, h = self.between(0.13, 0.2), self.between(0.25, 0.4)
        parts = [tube(self.material("plain", self.pick(WOODS + WALLS)), 0, 0, 0, r, h)]
        leaf = self.material("carpet", self.pick(GREENS), 0.25)
        for _ in range(14):
            yaw, lean, up = self.between(0, 6.28), self.between(0.1, 0.35), self.between(0.1, 0.65)
            x, y = lean * np.cos(yaw), lean * np.sin(yaw)
            parts.append(ball(leaf, x, y, h + up, 0.05, 0.17, 0.035, yaw=yaw - np.pi / 2, tilt=self.between(0.3, 1.2)))
        return [*parts, tube(self.material("plain", WOODS[2]), 0, 0, h, 0.02, 0.4)]

    def floor_lamp(self) -> list[Solid]:
        h = self.between(1.45, 1.7)
        shade = self.material("plain", (0.98, 0.88, 0.70), glow=1.05)
        parts = [tube(self.metal, 0, 0, 0, 0.14, 0.025), tube(self.metal, 0, 0, 0, 0.013, h)]
        return [*parts, tube(shade, 0, 0, h - 0.12, 0.19, 0.27)]

    def carton(self) -> list[Solid]:
        m = self.material("plain", (0.68, 0.53, 0.36))
        w, d, h = (self.between(0.3, 0.5) for _ in range(3))
        return [box(m, 0, 0, 0, w, d, h), box(m, 0.02, 0.01, h, w * 0.7, d * 0.7, h * 0.6, yaw=self.between(-0.4, 0.4))]

    def door(self) -> list[Solid]:
        m = self.pick([self.white, self.upright])
        parts = [box(m, s * 0.47, -0.02, 0, 0.08, 0.05, 2.08) for s in (-1, 1)] + [
            box(m, 0, -0.02, 2.02, 1.02, 0.05, 0.08)
        ]
        parts += [box(m, 0, 0, 0.01, 0.86, 0.03, 2.01), tube(self.metal, 0.35, -0.05, 1.0, 0.025, 0.05)]
        panels = [(x, z, 0.29, h) for x in (-0.19, 0.19) for z, h in ((0.15, 0.7), (1.05, 0.8))]
        parts += [box(m, x, -0.018, z, w, 0.012, h) for x, z, w, h in panels]
        return parts + [box(self.metal, 0.3, -0.07, 1.02, 0.12, 0.015, 0.018)]

    def window(self, w: float, h: float, z: float) -> list[Solid]:
        m, pane = self.white, self.fitted("outdoors", WHITE, (w, h), glow=1.15)
        parts = [box(pane, 0, 0, z, w, 0.01, h), box(m, 0, -0.05, z - 0.05, w + 0.2, 0.18, 0.04)]
        parts += [box(m, x, -0.015, z - 0.02, 0.06, 0.05, h + 0.05) for x in (-w / 2, 0, w / 2)]
        parts += [box(m, 0, -0.015, z + dz - 0.03, w + 0.06, 0.05, 0.06) for dz in (0, h)]
        if self.rng.random() < 0.75:
            cloth = self.fitted("folds", self.pick(FABRICS + WALLS), (0.6, 1.0))
            parts += [box(cloth, s * (w / 2 + 0.12), -0.1, 0.1, 0.36, 0.07, z + h + 0.05) for s in (-1, 1)]
            parts.append(box(self.metal, 0, -0.1, z + h + 0.14, w + 0.8, 0.025, 0.025))
        if self.rng.random() < 0.6:
            parts += [box(m, 0, -0.06, 0.15, w * 0.8, 0.09, 0.55)]
            parts += [box(m, x, -0.115, 0.17, 0.035, 0.02, 0.51) for x in np.linspace(-0.37, 0.37, 10) * w]
        return parts

    def picture(self) -> list[Solid]:
        w, h, z = self.between(0.4, 0.9), self.between(0.35, 0.7), self.between(1.3, 1.45)
        art = self.fitted("painting", self.pick(GREENS + WOODS + FABRICS), (w, h))
        frame = self.pick([self.wood, self.metal, self.white])
        return [box(frame, 0, 0, z, w + 0.08, 0.03, h + 0.08), box(art, 0, -0.008, z + 0.04, w, 0.02, h)]

    def rug(self) -> list[Solid]:
        w, d = self.between(1.2, 2.0), self.between(1.4, 2.4)
        return [
            box(
                self.fitted(self.pick(["ornament", "carpet", "stripes"]), self.pick(FABRICS), (w, d)),
                0,
                0,
                0,
                w,
                d,
                0.012,
            )
        ]

    def ceiling_lamp(self, height_m: float) -> list[Solid]:
        shade = self.material("plain", (0.99, 0.96, 0.88), glow=1.1)
        if self.rng.random() < 0.5:
            return [tube(shade, 0, 0, height_m - 0.12, 0.2, 0.1), tube(self.metal, 0, 0, height_m - 0.02, 0.22, 0.02)]
        return [ball(shade, 0, 0, height_m - 0.4, 0.16, 0.16, 0.13), tube(self.metal, 0, 0, height_m - 0.3, 0.01, 0.3)]

    def skirting(self, width_m: float, length_m: float) -> list[Solid]:
        m = self.pick([self.white, self.wood])
        long = [box(m, 0, s * (length_m / 2 - 0.007), 0, width_m, 0.015, 0.09) for s in (-1, 1)]
        return long + [box(m, s * (width_m / 2 - 0.007), 0, 0, 0.015, length_m, 0.09) for s in (-1, 1)]

    def room(self, width_m: float, length_m: float, height_m: float) -> Solid:
        """Four walls (sometimes one of another colour), a floor and a ceiling, seen from inside."""
        wall = self.material("plaster", self.pick(WALLS), 2.0)
        walls = [wall] * 4
        if self.rng.random() < 0.3:
            walls[int(self.rng.integers(4))] = self.material("plaster", self.pick(FABRICS + WALLS), 2.0)
        floor = self.pick([
            self.material("planks", self.pick(WOODS), 2.0),
            self.material("carpet", self.pick(FABRICS + WALLS[1:]), 1.2),
            self.material("tiles", self.pick(WALLS + WOODS[1:2]), self.between(1.2, 2.0), (0.5, 0.48, 0.45)),
        ])  # fmt: skip
        half = width_m / 2, length_m / 2, height_m / 2
        ceiling = self.material("plaster", WHITE, 2.0)
        return Solid("box", (0.0, 0.0, half[2]), half, (*walls, floor, ceiling), inward=True)


def box(m: Material, x, y, bottom, w, d, h, yaw=0.0, tilt=0.0) -> Solid:
    return _solid("box", m, x, y, bottom + h / 2, (w / 2, d / 2, h / 2), yaw, tilt)


def tube(m: Material, x, y, bottom, radius, h) -> Solid:
    return _solid("cylinder", m, x, y, bottom + h / 2, (radius, radius, h / 2))


def ball(m: Material, x, y, z, half_w, half_d, half_h, yaw=0.0, tilt=0.0) -> Solid:
    return _solid("ellipsoid", m, x, y, z, (half_w, half_d, half_h), yaw, tilt)


def _solid(shape, m, x, y, z, half, yaw=0.0, tilt=0.0) -> Solid:
    return Solid(shape, as_vector((x, y, z)), as_vector(half), (m,), float(yaw), float(tilt))


def as_vector(values: Sequence[float] | np.ndarray) -> Vector:
    """Three plain floats: numpy's would widen float32 arrays, and make dataclasses compare oddly."""
    x, y, z = values
    return float(x), float(y), float(z)


def moved(parts: list[Solid], x: float, y: float, yaw: float = 0.0) -> list[Solid]:
    """The parts turned about the vertical through the origin, then shifted."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    result = []
    for part in parts:
        px, py, pz = part.centre_m
        centre = (float(cos * px - sin * py + x), float(sin * px + cos * py + y), pz)
        result.append(replace(part, centre_m=centre, yaw_rad=float(part.yaw_rad + yaw)))
    return result


# -------------------------------------------------------------------------------------------------------------- rooms

FURNITURE = {
    "living": ["sofa", "dresser", "shelf", "floor_lamp", "plant", "sofa", "shelf"],
    "bedroom": ["bed", "wardrobe", "dresser", "desk", "plant", "carton"],
    "office": ["desk", "shelf", "desk", "shelf", "wardrobe", "carton", "plant"],
    "kitchen": ["kitchen", "dresser", "shelf", "plant", "carton"],
}
IN_THE_MIDDLE = {"living": "coffee_table", "bedroom": "chair", "office": "chair", "kitchen": "table"}


class Layout:
    """Finds places in a room where nothing is yet. A zone is a rectangle of the floor, and the height up to which
    things may stand in it: 0 where something stands already, the sill's under a window."""

    def __init__(self, rng: np.random.Generator, width_m: float, length_m: float):
        self.rng, self.size_m = rng, (width_m, length_m)
        self.zones: list[tuple[np.ndarray, float]] = []

    def wall(self, number: int) -> tuple[float, float]:
        """Half the length of one of the walls 0..3, and its distance from the room's centre."""
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


def extent(parts: list[Solid]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest x, y, z of some solids, metres."""
    low, high = zip(*(part.bounds() for part in parts), strict=True)
    return np.min(low, axis=0), np.max(high, axis=0)


def random_scene(seed: int) -> Scene:
    """A furnished room of 3 to 6 m by 3 to 6 m, its lamps and windows, and a camera's way through it.

    The first solid is the room itself, centred on the origin, floor at z = 0.
    """
    rng = np.random.default_rng(seed)
    width, length, height = (round(float(rng.uniform(*range_m)), 2) for range_m in ((3.2, 6), (3.2, 6), (2.45, 2.9)))
    maker, layout = Maker(rng), Layout(rng, width, length)
    behind = int(rng.choice([0, 2] if (length > width) == (rng.random() < 0.8) else [1, 3]))
    path = _camera_path(rng, layout, behind)
    seen = [wall for wall in range(4) if wall != behind]

    parts = maker.skirting(width, length)
    parts += layout.against_wall(maker.door(), seen, gap_m=-0.005, depth_m=0.7)
    windows = [maker.window(*size) for size in _window_sizes(rng)]
    windows = [layout.against_wall(window, seen, gap_m=-0.005, depth_m=0.3, height_m=0.9) for window in windows]
    for _ in range(3):
        parts += layout.against_wall(maker.picture(), seen, gap_m=-0.005, depth_m=0.1, height_m=1.1)
    theme = str(rng.choice(list(FURNITURE)))
    for name in FURNITURE[theme]:
        parts += layout.against_wall(getattr(maker, name)(), seen * 3 + [behind])
    for name in [IN_THE_MIDDLE[theme], *rng.choice(["chair", "carton", "plant", "coffee_table"], 2)]:
        parts += layout.anywhere(getattr(maker, name)())
    if rng.random() < 0.5:
        x, y = rng.uniform(-0.15, 0.15, 2) * (width, length)
        parts += moved(maker.rug(), x, y, rng.normal(0, 0.1))
    lamp = maker.ceiling_lamp(height)
    parts += [*lamp, *(part for window in windows for part in window)]
    lights = tuple(light for part in parts for light in _light_of(part))
    return Scene((maker.room(width, length, height), *parts), lights, seed, path)


def _camera_path(rng: np.random.Generator, layout: Layout, behind: int) -> CameraPath:
    """A loop near one wall, looking away from it, with room kept free around."""
    along, away = layout.wall(behind)
    reach = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.1, 0.3))
    spot = rng.uniform(-1, 1) * (along - reach[0] - 0.6), away - reach[1] - rng.uniform(0.35, 0.6)
    height = float(rng.uniform(1.1, 1.5))
    turn = behind * np.pi / 2
    (zone,) = moved(
        [box(Material("plain", WHITE), *spot, 0, 2 * reach[0] + 0.9, 2 * reach[1] + 0.9, height)], 0, 0, turn
    )
    layout.reserve(*extent([zone]), height - 0.55)
    to_centre = np.arctan2(-spot[1], -spot[0]) + turn
    heading = float(to_centre + rng.uniform(-0.2, 0.2))
    return CameraPath(
        centre_m=(*zone.centre_m[:2], height),
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
        centre = np.array(part.centre_m) - 0.12 * out  # in front of the frame, which would shade it
        power = 2.2 * 4 * half[0] * half[2] * np.array([0.92, 0.98, 1.05])
        sides = as_vector(along * half[0]), as_vector(up * half[2])
        return [Light(as_vector(centre), *sides, as_vector(power), as_vector(-out))]
    power = np.array([1.0, 0.9, 0.75]) * (1.6 if part.centre_m[2] > 1.9 else 0.35)
    return [Light(part.centre_m, (half[0], 0.0, 0.0), (0.0, half[1], 0.0), as_vector(power))]


def room_sequence(frames: int, *, seed: int = 0, camera: Camera = KINECT) -> Iterator[SyntheticFrame]:
    """One loop of a camera through a random room: frame `frames` would be the first again.

    Args:
        frames: how many, at least 1. The loop has the same length whatever their number.
        seed: of the room and of the sensor's noise.
        camera: what the picture is taken with.

    Raises:
        ValueError: fewer than one frame.
    """
    if frames < 1:
        raise ValueError(f"a sequence of {frames} frames; ask for at least 1")
    return _frames(frames, seed, camera)


def _frames(frames: int, seed: int, camera: Camera) -> Iterator[SyntheticFrame]:
    scene = random_scene(seed)
    renderer = Renderer(scene, paint)
    vignette = _vignette(camera)
    for index in range(frames):
        pose = scene.path.pose(2 * np.pi * index / frames)
        colour, depth = renderer.render(camera, pose)
        yield SyntheticFrame(sensed(colour, vignette, np.random.default_rng([seed, index])), depth, pose)


def _vignette(camera: Camera) -> np.ndarray:
    x, y = camera.rays()
    squared = x**2 + y[:, None] ** 2
    return (1 - VIGNETTE * squared / squared.max()).astype(np.float32)[..., None]


def sensed(colour: np.ndarray, vignette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a small camera makes of a picture: soft, darker in the corners, noisy. uint8 HxWx3."""
    colour = cv2.GaussianBlur(colour * vignette, (0, 0), BLUR_PX)
    colour += np.float32(NOISE) * rng.standard_normal(colour.shape, np.float32)
    return np.clip(colour * 255 + 0.5, 0, 255).astype(np.uint8)
