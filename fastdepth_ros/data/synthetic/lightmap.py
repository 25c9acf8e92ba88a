"""Light map of a scene: the light on every face, traced once, with soft shadows and dark corners.

Light does not depend on the camera. Each face has a patch in one image, the light map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.data.synthetic.raycast import crossing, surface
from fastdepth_ros.data.synthetic.scene import Scene, Solid

TEXEL_M = 0.08  # grid of the light map
MAX_TEXELS = 96
CHUNK = 512  # neighbors in the light map that are lit at once
LIGHT_SAMPLES = 6
CORNER_SAMPLES = 14
THIN_M = 0.008, 0.03  # half the thickness and width below which a solid's shadow is left out
CORNER_M = 0.7  # free path at which a surface counts as open
GAMMA = 2.2


@dataclass(frozen=True)
class Patch:
    """The rectangle of the light map that belongs to one face."""

    x: int
    y: int
    columns: int
    rows: int


def pack_faces(scene: Scene) -> tuple[dict[tuple[int, int], Patch], tuple[int, int]]:
    """Patch of the light map for each (solid, face), and the map's rows and columns."""
    width, x, y, shelf, patches = 512, 0, 0, 0, {}
    for index, solid in enumerate(scene.solids):
        for face, size in enumerate(solid.face_sizes()):
            columns, rows = (int(np.clip(np.ceil(m / TEXEL_M) + 1, 3, MAX_TEXELS)) for m in size)
            if x + columns > width:
                x, y, shelf = 0, y + shelf, 0
            patches[index, face] = Patch(x, y, columns, rows)
            x, shelf = x + columns, max(shelf, rows)
    return patches, (y + shelf, width)


def light_map(scene: Scene, patches: dict[tuple[int, int], Patch], shape: tuple[int, int]) -> np.ndarray:
    """float32 rows x columns x 3: the factor by which light scales an sRGB color."""
    rng = np.random.default_rng(scene.seed)
    places = [_patch_points(scene.solids[index], face, patch) for (index, face), patch in patches.items()]
    points, normals = (np.concatenate(parts, axis=1).astype(np.float32) for parts in zip(*places, strict=True))
    blockers = [_Blocker.of(solid) for solid in scene.solids if np.all(np.sort(solid.half_m)[:2] >= THIN_M)]
    chunks = [slice(start, start + CHUNK) for start in range(0, points.shape[1], CHUNK)]
    bright = np.concatenate([_gather(scene, blockers, points[:, at], normals[:, at], rng) for at in chunks])
    # exposure: a typical surface is bright; surfaces near a lamp saturate softly
    bright *= 0.75 / np.median(bright[bright.sum(axis=1) > 0].mean(axis=1))
    bright = 1.35 * (1 - np.exp(-bright / 1.35))
    atlas, start = np.zeros((*shape, 3), np.float32), 0
    for patch in patches.values():
        count = patch.rows * patch.columns
        grid = bright[start : start + count].reshape(patch.rows, patch.columns, 3) ** np.float32(1 / GAMMA)
        smooth = cv2.GaussianBlur(grid, (3, 3), 0.8, borderType=cv2.BORDER_REPLICATE)  # few rays leave grain
        atlas[patch.y : patch.y + patch.rows, patch.x : patch.x + patch.columns] = smooth
        start += count
    return atlas


def _patch_points(solid: Solid, face: int, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """World points (3, N) just off a face, rows first, and normals that point into the open."""
    inset = 0.985  # away from the edge: a corner belongs to two walls
    v, u = np.meshgrid(np.linspace(-inset, inset, patch.rows), np.linspace(-inset, inset, patch.columns), indexing="ij")
    off_m = 0.05 if solid.inward else 0.002  # a picture on a wall casts no halo
    q, normal = surface(solid.shape, face, u.ravel(), v.ravel())
    half = np.array(solid.half_m)[:, None]
    normal = solid.rotation() @ (normal / half)
    normal /= np.linalg.norm(normal, axis=0) * (-1 if solid.inward else 1)
    return solid.rotation() @ (q * half) + np.array(solid.center_m)[:, None] + off_m * normal, normal


@dataclass(frozen=True)
class _Blocker:
    """A solid that blocks light, with its bounds and its transform into the unit shape."""

    solid: Solid
    low: np.ndarray
    high: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, solid: Solid) -> _Blocker:
        matrix, offset = solid.from_world()
        return cls(solid, *solid.bounds(), matrix.astype(np.float32), offset.astype(np.float32)[:, None])


def _gather(
    scene: Scene, blockers: list[_Blocker], points: np.ndarray, normals: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Light (N, 3) at points (3, N): lamps with soft shadows, and ambient light in the open."""
    total = np.zeros((3, points.shape[1]), np.float32)
    shady = [b for b in blockers if not b.solid.inward and not any(m.glow for m in b.solid.materials)]
    for light in scene.lights:
        center, half_u, half_v, power = (
            np.array(a, np.float32)[:, None, None]
            for a in (light.center_m, light.half_u_m, light.half_v_m, light.power)
        )
        a, b = rng.uniform(-1, 1, (2, LIGHT_SAMPLES, points.shape[1])).astype(np.float32)
        to_light = center + half_u * a + half_v * b - points[:, None]  # (3, samples, N)
        squared = (to_light**2).sum(axis=0) + np.float32(0.05)
        falls = np.maximum((to_light * normals[:, None]).sum(axis=0), 0) / squared**1.5
        if light.facing is not None:
            facing = np.array(light.facing, np.float32)[:, None, None]
            falls *= np.maximum(-(to_light * facing).sum(axis=0), 0) / np.sqrt(squared)
        for near, far, _ in _crossings(shady, points, to_light, np.array(light.center_m)[:, None]):
            falls[(near < far) & (near < 1) & (far > 0)] = 0
        total += power[:, 0] * falls.mean(axis=0)
    ambient = np.array([0.28, 0.27, 0.25], np.float32)[:, None] * (1 + 0.25 * normals[2])
    return (total + ambient * _openness(blockers, points, normals, rng)).T


def _openness(
    blockers: list[_Blocker], points: np.ndarray, normals: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Openness (N,) in [0, 1]: cosine-weighted free path; small in corners and below furniture."""
    direction = rng.standard_normal((3, CORNER_SAMPLES, points.shape[1])).astype(np.float32)
    direction /= np.linalg.norm(direction, axis=0)
    direction += normals[:, None] * np.float32(1.001)  # a point on the sphere around the normal: cosine-weighted
    direction /= np.linalg.norm(direction, axis=0)
    reach_m = 2.5 * CORNER_M  # solids beyond it hardly darken
    around = np.stack([points.min(axis=1) - reach_m, points.max(axis=1) + reach_m], axis=1)
    free_m = np.full(direction.shape[1:], 9.0, np.float32)
    for near, far, solid in _crossings(blockers, points, direction, around):
        t = far if solid.inward else np.maximum(near, 0)
        np.copyto(free_m, t, where=(near < far) & (far > 0) & (t < free_m))
    return (1 - np.exp(-free_m / CORNER_M)).mean(axis=0)


def _crossings(
    blockers: list[_Blocker], points: np.ndarray, direction: np.ndarray, targets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, Solid]]:
    """`crossing` of rays (3, S, N) from points (3, N), for each solid that reaches into the box around the points and
    the targets (3, M)."""
    low = np.minimum(points.min(axis=1), targets.min(axis=1))
    high = np.maximum(points.max(axis=1), targets.max(axis=1))
    for blocker in blockers:
        if (blocker.low > high).any() or (blocker.high < low).any():
            continue
        origin = (blocker.matrix @ points + blocker.offset)[:, None]
        turned = (blocker.matrix @ direction.reshape(3, -1)).reshape(direction.shape)
        yield *crossing(blocker.solid.shape, origin, turned), blocker.solid
