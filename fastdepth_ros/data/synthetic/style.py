"""The taste of one room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastdepth_ros.data.synthetic.scene import Material, Vector, as_vector
from fastdepth_ros.data.synthetic.textures import FABRICS, GREENS, METAL, WALLS, WHITE, WOODS


class Style:
    """The materials of one room, which go together; chosen, like all that varies in the room, by one rng."""

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
        """A material whose color varies a little around the one given."""
        vary = self.rng.normal(1, 0.05) * self.rng.normal(1, 0.02, 3)
        color = as_vector(np.clip(np.array(color) * vary, 0.02, 0.98))
        other = as_vector(self.rng.uniform(0.25, 0.9, 3)) if accent is None else accent
        span_m = span_m if isinstance(span_m, tuple) else (span_m, span_m)
        return Material(name, color, other, span_m, int(self.rng.integers(1 << 30)), glow)

    def fitted(self, name: str, color: Vector, size_m: tuple[float, float], glow=0.0) -> Material:
        """A material that spans a face exactly once."""
        return self.material(name, color, size_m, self.pick([*WALLS, *GREENS, *FABRICS]), glow)
