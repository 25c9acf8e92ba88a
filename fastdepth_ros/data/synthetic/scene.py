"""Parts of a scene: camera, materials, solids, lights, and the path of the camera.

World frame: meters, z up, the floor at z = 0. Camera frame: x right, y down, z forward (REP 103, optical).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Vector = tuple[float, float, float]

TILE_PX = 512  # side of the image of a material's texture


def as_vector(values: Sequence[float] | np.ndarray) -> Vector:
    """Three Python floats. numpy's would widen float32 arrays and change how dataclasses compare."""
    x, y, z = values
    return float(x), float(y), float(z)


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion: focal lengths and principal point in pixels, pixel centers at whole numbers."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """x / z of each column (width,) and y / z of each row (height,), float64."""
        return (np.arange(self.width) - self.cx) / self.fx, (np.arange(self.height) - self.cy) / self.fy


@dataclass(frozen=True)
class Material:
    """Look of a surface: a named texture, two sRGB colors in [0, 1], the meters that one tile spans, and the
    brightness that it emits (0 but for lamps and windows)."""

    texture: str
    color: Vector
    accent: Vector = (0.0, 0.0, 0.0)
    span_m: tuple[float, float] = (1.0, 1.0)
    seed: int = 0
    glow: float = 0.0


@dataclass(frozen=True)
class Solid:
    """A box, cylinder (axis z) or ellipsoid, with half its extent along its own x, y, z.

    It is tilted about its x axis first, then turned about the vertical. `materials` is one for all faces, or six in the
    order -x, +x, -y, +y, -z, +z. A room is a box seen from inside (`inward`).
    """

    shape: str
    center_m: Vector
    half_m: Vector
    materials: tuple[Material, ...]
    yaw_rad: float = 0.0
    tilt_rad: float = 0.0
    inward: bool = False

    def rotation(self) -> np.ndarray:
        """3x3, from the solid's axes to the world's."""
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        cos, sin = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return turn @ np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])

    def from_world(self) -> tuple[np.ndarray, np.ndarray]:
        """3x3 matrix A and offset b (3,): A p + b lies in the unit shape where p lies in the solid."""
        matrix = self.rotation().T / np.array(self.half_m)[:, None]
        return matrix, -matrix @ np.array(self.center_m)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest x, y, z in the world, meters, of the box around the solid."""
        reach = np.abs(self.rotation()) @ self.half_m
        return np.array(self.center_m) - reach, np.array(self.center_m) + reach

    def face_sizes(self) -> list[tuple[float, float]]:
        """Meters along u and v of each face, in the order of `raycast.locate`."""
        x, y, z = (2 * h for h in self.half_m)
        if self.shape == "box":
            return [(y, z)] * 2 + [(x, z)] * 2 + [(x, y)] * 2
        round_m = np.pi * (x + y) / 2
        return [(round_m, z), (x, y), (x, y)] if self.shape == "cylinder" else [(round_m, np.pi * z / 2)]


def box(m: Material, x, y, bottom, w, d, h, yaw=0.0, tilt=0.0) -> Solid:
    return _solid("box", m, x, y, bottom + h / 2, (w / 2, d / 2, h / 2), yaw, tilt)


def tube(m: Material, x, y, bottom, radius, h) -> Solid:
    return _solid("cylinder", m, x, y, bottom + h / 2, (radius, radius, h / 2))


def ball(m: Material, x, y, z, half_w, half_d, half_h, yaw=0.0, tilt=0.0) -> Solid:
    return _solid("ellipsoid", m, x, y, z, (half_w, half_d, half_h), yaw, tilt)


def _solid(shape, m, x, y, z, half, yaw=0.0, tilt=0.0) -> Solid:
    return Solid(shape, as_vector((x, y, z)), as_vector(half), (m,), float(yaw), float(tilt))


def moved(parts: list[Solid], x: float, y: float, yaw: float = 0.0) -> list[Solid]:
    """Parts turned about the vertical through the origin, then shifted by x, y in meters."""
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


@dataclass(frozen=True)
class Light:
    """A luminous parallelogram: center, two half sides, power per color, and the direction that a window faces
    (None: light goes in all directions)."""

    center_m: Vector
    half_u_m: Vector
    half_v_m: Vector
    power: Vector
    facing: Vector | None = None


@dataclass(frozen=True)
class CameraPath:
    """A closed loop: an ellipse around a center (half axes along its own x and y after the turn, and up), with a
    heading that sweeps to both sides and a pitch below the horizon."""

    center_m: Vector = (0.0, 0.0, 1.3)
    reach_m: Vector = (0.3, 0.2, 0.0)
    turn_rad: float = 0.0
    heading_rad: float = 0.0
    sweep_rad: float = 0.4
    pitch_rad: float = 0.15

    def pose(self, phase_rad: float) -> np.ndarray:
        """float64 4x4 from the camera to the world; the loop closes after 2 pi."""
        cos, sin = np.cos(phase_rad), np.sin(phase_rad)
        a, b = self.reach_m[0] * cos, self.reach_m[1] * sin
        turn_cos, turn_sin = np.cos(self.turn_rad), np.sin(self.turn_rad)
        shift = turn_cos * a - turn_sin * b, turn_sin * a + turn_cos * b, self.reach_m[2] * sin
        heading, pitch = self.heading_rad + self.sweep_rad * sin, self.pitch_rad + 0.04 * np.sin(2 * phase_rad)
        forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
        level = np.array([np.sin(heading), -np.cos(heading), 0.0])
        roll = 0.02 * np.sin(phase_rad + 1.0)  # roll of a hand-held camera
        right = np.cos(roll) * level + np.sin(roll) * np.cross(forward, level)
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(forward, right), forward, np.array(self.center_m) + shift], axis=1)
        return pose


@dataclass(frozen=True)
class Scene:
    """Solids (the room is the first), lights, the seed of the random parts of the picture, and the camera's path."""

    solids: tuple[Solid, ...]
    lights: tuple[Light, ...]
    seed: int = 0
    path: CameraPath = CameraPath()
