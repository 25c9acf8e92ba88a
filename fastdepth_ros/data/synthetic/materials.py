"""Materials: colors, seamless textures drawn from a seed, and the style of one room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from fastdepth_ros.data.synthetic.scene import TILE_PX, Material, Vector, as_vector

WHITE = (0.92, 0.91, 0.88)
WALLS = [WHITE, (0.90, 0.86, 0.76), (0.80, 0.83, 0.78), (0.76, 0.82, 0.86), (0.84, 0.80, 0.77), (0.86, 0.78, 0.66)]
WOODS = [(0.55, 0.36, 0.20), (0.70, 0.52, 0.33), (0.38, 0.24, 0.15), (0.80, 0.66, 0.48), (0.48, 0.26, 0.15)]
FABRICS = [(0.45, 0.20, 0.18), (0.25, 0.32, 0.45), (0.55, 0.50, 0.42), (0.30, 0.30, 0.30), (0.36, 0.42, 0.28),
           (0.72, 0.66, 0.56), (0.20, 0.22, 0.30)]  # fmt: skip
METAL = (0.30, 0.30, 0.31)
GREENS = [(0.18, 0.33, 0.13), (0.28, 0.40, 0.18), (0.22, 0.36, 0.22)]

TEXTURES: dict[str, Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]] = {}


def texture(draw):
    """Register a function (rng, color, accent) -> float TILE_PX x TILE_PX x 3 in [0, 1] by its name."""
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
    tile = TEXTURES[material.texture](rng, np.array(material.color), np.array(material.accent))
    return np.clip(tile * 255, 0, 255).astype(np.uint8)


def noise(rng: np.random.Generator, columns: int, rows: int) -> np.ndarray:
    """Smooth noise with that many cells per tile (powers of two), mean 0, deviation about 1, T x T x 1, seamless."""
    return _enlarged(rng.standard_normal((rows, columns), np.float32), TILE_PX // columns, TILE_PX // rows)[..., None]


def _enlarged(grid: np.ndarray, by_x: int, by_y: int) -> np.ndarray:
    """Enlarge a seamless image smoothly; it stays seamless."""
    wide = cv2.resize(np.pad(grid, 2, "wrap"), None, fx=by_x, fy=by_y, interpolation=cv2.INTER_CUBIC)
    return wide[2 * by_y : -2 * by_y, 2 * by_x : -2 * by_x]


def clouds(rng: np.random.Generator, first: int = 2, octaves: int = 5) -> np.ndarray:
    """Noise of several sizes, from `first` cells per tile; deviation about 1, T x T x 1, seamless."""
    cells, grid = first, rng.standard_normal((first, first), np.float32)
    for octave in range(1, octaves):
        cells *= 2
        grid = _enlarged(grid, 2, 2) + np.float32(0.6**octave) * rng.standard_normal((cells, cells), np.float32)
    return 0.7 * _enlarged(grid, TILE_PX // cells, TILE_PX // cells)[..., None]


def _mix(color, accent, weight):
    return color + (accent - color) * weight


@texture
def plain(rng, color, accent):
    return color * (1 + 0.03 * clouds(rng) + 0.015 * noise(rng, 256, 256))


@texture
def plaster(rng, color, accent):
    return color * (1 + 0.02 * clouds(rng, 1, 4) + 0.008 * noise(rng, 128, 128) + 0.008 * noise(rng, 256, 256))


@texture
def wood(rng, color, accent):
    rings = np.sin(9 * noise(rng, 2, 16) + 4 * noise(rng, 4, 64))
    return color * (1 + 0.07 * rings + 0.07 * noise(rng, 4, 128) + 0.05 * noise(rng, 16, 256) + 0.04 * clouds(rng))


@texture
def wood_upright(rng, color, accent):
    return wood(rng, color, accent).transpose(1, 0, 2)


@texture
def planks(rng, color, accent, rows=16):
    tile, height = wood(rng, color, accent), TILE_PX // rows
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
def tiles(rng, color, accent, count=4):
    side = TILE_PX // count
    tone = rng.normal(1, 0.04, (count, count)).repeat(side, 0).repeat(side, 1)[..., None]
    at = np.arange(TILE_PX) % side
    grout = (np.minimum(at, side - at) < 2).astype(float)
    grout = np.maximum(grout[:, None], grout)[..., None]
    return _mix(color * (tone + 0.03 * clouds(rng, 4, 5)), accent, grout)


@texture
def carpet(rng, color, accent):
    return color * (1 + 0.13 * noise(rng, 256, 256) + 0.06 * noise(rng, 128, 128) + 0.04 * clouds(rng))


@texture
def cloth(rng, color, accent):
    return color * (1 + 0.04 * noise(rng, 256, 64) + 0.04 * noise(rng, 64, 256) + 0.05 * clouds(rng, 2, 4))


@texture
def checks(rng, color, accent, count=6):
    band = (np.sin(np.arange(TILE_PX) * (2 * np.pi * count / TILE_PX)) > 0.2) * 0.5
    return _mix(cloth(rng, color, color), accent, (band[:, None] + band)[..., None])


@texture
def stripes(rng, color, accent, count=5):
    wave = np.sin(np.arange(TILE_PX) * (2 * np.pi * count / TILE_PX))
    return _mix(cloth(rng, color, color), accent, np.broadcast_to((wave > 0.5), (TILE_PX, TILE_PX))[..., None])


@texture
def folds(rng, color, accent):
    wave = np.sin(np.arange(TILE_PX) * (2 * np.pi * 7 / TILE_PX) + 1.5 * noise(rng, 4, 2)[..., 0])
    return color * (0.85 + 0.15 * wave[..., None] + 0.03 * noise(rng, 128, 16))


@texture
def ornament(rng, color, accent):
    """A carpet with a border."""
    at = np.abs(np.arange(TILE_PX) - TILE_PX / 2) / TILE_PX
    edge = np.maximum(at[:, None], at)
    rings = (np.sin(edge * 70) > 0.3) * (edge > 0.33)
    dots = (np.sin(at * 60)[:, None] * np.sin(at * 60) > 0.4) * (edge < 0.33)
    return _mix(carpet(rng, color, color), accent, 0.7 * (rings + dots)[..., None])


@texture
def books(rng, color, accent):
    """Spines of the width of a shelf, of different heights; dark above."""
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
def painting(rng, color, accent):
    """A landscape: two colors with patches of a third, and brush strokes."""
    height = np.linspace(0, 1, TILE_PX)[:, None, None]
    hills = 1 / (1 + np.exp(-30 * (height - 0.5 - 0.12 * noise(rng, 2, 1) - 0.04 * noise(rng, 8, 1))))
    strokes = 1 + 0.12 * noise(rng, 64, 32) + 0.1 * clouds(rng, 4, 4)
    patches = noise(rng, 4, 8) > 1.0
    return _mix(_mix(color, accent, hills), rng.uniform(0.3, 0.9, 3), 0.7 * patches) * strokes


@texture
def outdoors(rng, color, accent):
    """An overexposed garden behind a window."""
    height = np.linspace(0, 1, TILE_PX)[:, None, None]
    trees = 1 / (1 + np.exp(-14 * (height - 0.45 - 0.12 * noise(rng, 4, 1) - 0.08 * noise(rng, 8, 8))))
    return _mix(np.array([0.62, 0.70, 0.55]) * (1 + 0.12 * clouds(rng, 4, 4)), np.array([0.97, 0.98, 1.0]), trees)


class Style:
    """Matching materials of one room, chosen by the random generator of that room."""

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

    def material(self, name: str, color: Vector, span_m=1.0, accent: Vector | None = None, glow=0.0) -> Material:
        """A material whose color varies slightly around the given one."""
        vary = self.rng.normal(1, 0.05) * self.rng.normal(1, 0.02, 3)
        color = as_vector(np.clip(np.array(color) * vary, 0.02, 0.98))
        other = as_vector(self.rng.uniform(0.25, 0.9, 3)) if accent is None else accent
        span_m = span_m if isinstance(span_m, tuple) else (span_m, span_m)
        return Material(name, color, other, span_m, int(self.rng.integers(1 << 30)), glow)

    def fitted(self, name: str, color: Vector, size_m: tuple[float, float], glow=0.0) -> Material:
        """A material whose tile covers a face exactly once."""
        return self.material(name, color, size_m, self.pick([*WALLS, *GREENS, *FABRICS]), glow)
