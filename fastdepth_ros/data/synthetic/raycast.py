"""Intersections of a camera's rays with the solids of a scene: exact depth.

Every solid is a unit box, cylinder or ellipsoid under a rotation and a scale. A ray is transformed into the solid's
frame and intersected with the unit shape. Its parameter, the depth along the optical axis, is the same in all frames.
"""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic.scene import Camera, Scene, Solid

BAND_ROWS = 64  # rows cast at once: the temporaries stay in the cache


def crossing(shape: str, origin, direction) -> tuple[np.ndarray, np.ndarray]:
    """Values of t at which the lines origin + t direction enter and leave a unit shape.

    Args:
        shape: "box", "cylinder" or "ellipsoid".
        origin, direction: three broadcastable numbers or arrays each, in the shape's frame.

    Returns:
        (near, far), values of t. The line misses where near < far does not hold (it may be NaN).

    Raises:
        ValueError: an unknown shape.
    """
    if shape == "box":
        near, far = _slab(origin[0], direction[0])
        for o, d in zip(origin[1:], direction[1:], strict=True):
            near, far = _overlap(near, far, *_slab(o, d))
        return near, far
    if shape == "cylinder":
        return _overlap(*_round(origin[:2], direction[:2]), *_slab(origin[2], direction[2]))
    if shape == "ellipsoid":
        return _round(origin, direction)
    raise ValueError(f"shape {shape!r} is none of box, cylinder, ellipsoid")


def _overlap(near, far, near_b, far_b):
    return np.maximum(near, near_b), np.minimum(far, far_b)


def _slab(o, d):
    inverse = 1.0 / (d + 1e-12)  # parallel rays get a huge t of the right sign instead of NaN
    middle, reach = -o * inverse, np.abs(inverse)
    return middle - reach, middle + reach


def _round(o, d):
    """Unit circle or sphere. |o x d| instead of b^2 - a c: the latter cancels in float32 when the solid is thin."""
    squared = sum(di * di for di in d) + 1e-12
    apart = sum((o[i] * d[j] - o[j] * d[i]) ** 2 for i in range(len(d)) for j in range(i))
    with np.errstate(invalid="ignore"):
        reach = np.sqrt(squared - apart) / squared
    middle = -sum(oi * di for oi, di in zip(o, d, strict=True)) / squared
    return middle - reach, middle + reach


def cast(scene: Scene, camera: Camera, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and the solid that is seen, at each pixel center.

    Args:
        pose: 4x4, camera to world.

    Returns:
        float32 HxW meters along the optical axis (0: nothing hit), and int16 HxW indices into scene.solids (-1: none).
    """
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    owner = np.full(depth.shape, -1, np.int16)
    x, y = (a.astype(np.float32) for a in camera.rays())
    for index, solid in enumerate(scene.solids):
        matrix, origin = camera_to_solid(solid, pose)
        top, bottom, left, right = window(solid, camera, pose)
        for row in range(top, bottom, BAND_ROWS):
            area = slice(row, min(row + BAND_ROWS, bottom)), slice(left, right)
            direction = [float(m[0]) * x[area[1]] + (float(m[1]) * y[area[0], None] + float(m[2])) for m in matrix]
            near, far = crossing(solid.shape, origin, direction)
            t = far if solid.inward else near
            hit = (near < far) & (t > 0) & (t < depth[area])
            np.copyto(depth[area], t, where=hit)
            np.copyto(owner[area], index, where=hit)
    depth[owner < 0] = 0
    return depth, owner


def camera_to_solid(solid: Solid, pose: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Directions from the camera's frame to the solid's (3x3), and the camera's center there."""
    matrix, offset = solid.from_world()
    return matrix @ pose[:3, :3], [float(v) for v in matrix @ pose[:3, 3] + offset]


def window(solid: Solid, camera: Camera, pose: np.ndarray) -> tuple[int, int, int, int]:
    """top, bottom, left, right of the pixels that may see the solid."""
    whole = 0, camera.height, 0, camera.width
    if solid.inward:
        return whole
    signs = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)]) * 2 - 1
    corners = (solid.rotation() @ (signs * solid.half_m).T).T + solid.center_m
    x, y, z = pose[:3, :3].T @ (corners - pose[:3, 3]).T
    if z.max() <= 0:
        return 0, 0, 0, 0
    if z.min() < 0.05:  # reaches behind the camera: its outline is not that of its corners
        return whole
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    top, bottom = np.clip([np.floor(v.min()), np.ceil(v.max()) + 1], 0, camera.height).astype(int)
    left, right = np.clip([np.floor(u.min()), np.ceil(u.max()) + 1], 0, camera.width).astype(int)
    return int(top), int(bottom), int(left), int(right)


def locate(shape: str, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face and position on it of points (3, N) on a unit shape: int face, and u, v in [-1, 1].

    A box has six faces in the order of `Solid`; a cylinder its side, bottom and top; an ellipsoid one.
    """
    if shape == "box":
        size = np.abs(q)
        axis = np.where(size[0] >= np.maximum(size[1], size[2]), 0, np.where(size[1] >= size[2], 1, 2))
        face = 2 * axis + (np.choose(axis, q) > 0)
        u, v = np.where(axis == 0, q[1], q[0]), np.where(axis == 2, q[1], q[2])
    else:
        face = np.zeros(q.shape[1], int)
        u, v = np.arctan2(q[1], q[0]) / np.float32(np.pi), q[2]
        if shape == "cylinder":
            cap = np.abs(q[2]) > np.hypot(q[0], q[1])
            face[cap] = 1 + (q[2, cap] > 0)
            u, v = np.where(cap, q[0], u), np.where(cap, q[1], v)
    return face, np.clip(u, -1, 1), np.clip(v, -1, 1)


def surface(shape: str, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `locate`: points (3, N) of one face, and the outward normals there in the unit shape's frame."""
    one = np.ones_like(u)
    if shape == "box":
        side = one * (2 * (face % 2) - 1)
        q = np.stack([(side, u, v), (u, side, v), (u, v, side)][face // 2])
        return q, np.eye(3)[:, face // 2, None] * side
    if shape == "cylinder" and face:
        sign = 2 * face - 3
        return np.stack([u, v, sign * one]), np.stack([0 * u, 0 * u, sign * one])
    radius = one if shape == "cylinder" else np.sqrt(1 - v * v)
    q = np.stack([radius * np.cos(np.pi * u), radius * np.sin(np.pi * u), v])
    return q, q * [[1], [1], [0 if shape == "cylinder" else 1]]
