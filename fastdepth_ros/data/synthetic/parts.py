"""Pieces of furniture are lists of solids: to make, move and measure them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastdepth_ros.data.synthetic.scene import Material, Solid, as_vector


def box(m: Material, x, y, bottom, w, d, h, yaw=0.0, tilt=0.0) -> Solid:
    return _solid("box", m, x, y, bottom + h / 2, (w / 2, d / 2, h / 2), yaw, tilt)


def tube(m: Material, x, y, bottom, radius, h) -> Solid:
    return _solid("cylinder", m, x, y, bottom + h / 2, (radius, radius, h / 2))


def ball(m: Material, x, y, z, half_w, half_d, half_h, yaw=0.0, tilt=0.0) -> Solid:
    return _solid("ellipsoid", m, x, y, z, (half_w, half_d, half_h), yaw, tilt)


def _solid(shape, m, x, y, z, half, yaw=0.0, tilt=0.0) -> Solid:
    return Solid(shape, as_vector((x, y, z)), as_vector(half), (m,), float(yaw), float(tilt))


def moved(parts: list[Solid], x: float, y: float, yaw: float = 0.0) -> list[Solid]:
    """The parts turned about the vertical through the origin, then shifted."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    result = []
    for part in parts:
        px, py, pz = part.center_m
        center = (float(cos * px - sin * py + x), float(sin * px + cos * py + y), pz)
        result.append(replace(part, center_m=center, yaw_rad=float(part.yaw_rad + yaw)))
    return result


def extent(parts: list[Solid]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest x, y, z of some solids, meters."""
    low, high = zip(*(part.bounds() for part in parts), strict=True)
    return np.min(low, axis=0), np.max(high, axis=0)
