"""Ray casting of a described room: exact depth, and a picture of it. numpy and OpenCV only.

Every solid is a unit box, cylinder or ellipsoid under a rotation and a scale, so a ray is carried into the solid's own
frame and meets one of three fixed shapes; its parameter, the depth along the optical axis, is the same in all frames.
Light does not depend on the camera: it is traced once per scene (soft shadows, dark corners) into a light map, and a
picture only looks up texture and light.

World frame: metres, z up, the floor at z = 0. Camera frame: x right, y down, z forward (REP 103, optical).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

Vector = tuple[float, float, float]

TILE_PX = 512  # side of a texture image
LEVELS = 7  # halvings of a texture, for surfaces far away
TEXEL_M = 0.08  # grid of the light map
MAX_TEXELS = 96
CHUNK = 512  # neighbours in the light map that are lit at once
LIGHT_SAMPLES = 6
CORNER_SAMPLES = 14
THIN_M = 0.008, 0.03  # half the thickness and width below which a solid's shadow is left out
CORNER_M = 0.7  # free path at which a surface counts as open
GAMMA = 2.2
OUTLINE_BLUR_PX = 0.9
BAND_ROWS = 64  # rows cast at once: the temporaries stay in the cache


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion: focal lengths and principal point in pixels, pixel centres at whole numbers."""

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
    """What a surface looks like: a named texture, two sRGB colours in [0, 1], the metres that one tile spans, and the
    brightness that it has by itself (0 for all but lamps and windows)."""

    texture: str
    colour: Vector
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
    centre_m: Vector
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
        return matrix, -matrix @ np.array(self.centre_m)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest x, y, z in the world, metres, of the box around the solid."""
        reach = np.abs(self.rotation()) @ self.half_m
        return np.array(self.centre_m) - reach, np.array(self.centre_m) + reach

    def face_sizes(self) -> list[tuple[float, float]]:
        """Metres along u and v of each face, in the order of `locate`."""
        x, y, z = (2 * h for h in self.half_m)
        if self.shape == "box":
            return [(y, z)] * 2 + [(x, z)] * 2 + [(x, y)] * 2
        round_m = np.pi * (x + y) / 2
        return [(round_m, z), (x, y), (x, y)] if self.shape == "cylinder" else [(round_m, np.pi * z / 2)]


@dataclass(frozen=True)
class Light:
    """A parallelogram that shines: centre, two half sides, power per colour, and the direction that a window faces
    (None shines all around)."""

    centre_m: Vector
    half_u_m: Vector
    half_v_m: Vector
    power: Vector
    facing: Vector | None = None


@dataclass(frozen=True)
class CameraPath:
    """A closed loop: an ellipse around a centre (half axes along its own x and y after the turn, and up), with a
    heading that sweeps to both sides and a pitch below the horizon."""

    centre_m: Vector = (0.0, 0.0, 1.3)
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
        roll = 0.02 * np.sin(phase_rad + 1.0)  # no hand is steady
        right = np.cos(roll) * level + np.sin(roll) * np.cross(forward, level)
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(forward, right), forward, np.array(self.centre_m) + shift], axis=1)
        return pose


@dataclass(frozen=True)
class Scene:
    """Solids (the room is one of them), lights, the seed of all that is random in their picture, and a way to look
    around."""

    solids: tuple[Solid, ...]
    lights: tuple[Light, ...]
    seed: int = 0
    path: CameraPath = CameraPath()


def crossing(shape: str, origin, direction) -> tuple[np.ndarray, np.ndarray]:
    """Where the lines origin + t direction enter and leave a unit shape.

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
    """Depth and the solid that is seen, at each pixel centre.

    Args:
        pose: 4x4, camera to world.

    Returns:
        float32 HxW metres along the optical axis (0: nothing hit), and int16 HxW indices into scene.solids (-1: none).
    """
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    owner = np.full(depth.shape, -1, np.int16)
    x, y = (a.astype(np.float32) for a in camera.rays())
    for index, solid in enumerate(scene.solids):
        matrix, origin = _camera_to_solid(solid, pose)
        top, bottom, left, right = _window(solid, camera, pose)
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


def _camera_to_solid(solid: Solid, pose: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Directions from the camera's frame to the solid's (3x3), and the camera's centre there."""
    matrix, offset = solid.from_world()
    return matrix @ pose[:3, :3], [float(v) for v in matrix @ pose[:3, 3] + offset]


def _window(solid: Solid, camera: Camera, pose: np.ndarray) -> tuple[int, int, int, int]:
    """top, bottom, left, right of the pixels that may see the solid."""
    whole = 0, camera.height, 0, camera.width
    if solid.inward:
        return whole
    signs = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)]) * 2 - 1
    corners = (solid.rotation() @ (signs * solid.half_m).T).T + solid.centre_m
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


class Renderer:
    """Pictures of one scene. Textures and light are prepared here, once.

    Args:
        scene: what is there.
        paint: draws the tile of a material, uint8 TILE_PX x TILE_PX x 3, which repeats without a seam.
    """

    def __init__(self, scene: Scene, paint: Callable[[Material], np.ndarray]):
        self.scene = scene
        materials = list(dict.fromkeys(_tile_of(m) for solid in scene.solids for m in solid.materials))
        self._tiles, self._level_left = _stack_tiles([paint(m) for m in materials])
        self._patches, atlas_shape = _pack_faces(scene)
        self._light = _light_map(scene, self._patches, atlas_shape)
        self._lookup = [self._face_table(i, solid, materials) for i, solid in enumerate(scene.solids)]

    def _face_table(self, index: int, solid: Solid, materials: list[Material]) -> np.ndarray:
        """float32 (faces, 9): light-map x, y, texels - 1 in u and v; tile number; tiles per face in u and v; texels per
        metre; glow."""
        rows = []
        for face, (u_m, v_m) in enumerate(solid.face_sizes()):
            material = solid.materials[face % len(solid.materials)]
            patch = self._patches[index, face]
            across, up = material.span_m
            rows.append(
                (patch.x, patch.y, patch.columns - 1, patch.rows - 1, materials.index(_tile_of(material)))
                + (u_m / across, v_m / up, TILE_PX / np.sqrt(across * up), material.glow)
            )
        return np.array(rows, np.float32)

    def render(self, camera: Camera, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 HxWx3 sRGB in about [0, 1], without the sensor's flaws, and float32 HxW metres as in `cast`."""
        depth, owner = cast(self.scene, camera, pose)
        # light-map x, y; texture s, t in tiles, tile number, level; glow
        maps = np.zeros((7, camera.height, camera.width), np.float32)
        for index in np.unique(owner[owner >= 0]):
            self._shade(int(index), camera, pose, depth, owner, maps)
        light_x, light_y, s, t, tile, level, glow = maps
        light = cv2.remap(self._light, light_x, light_y, cv2.INTER_LINEAR)
        light = np.maximum(light, glow[..., None], out=light)
        colour = self._texture(s, t, tile, level)
        colour *= light
        colour[owner < 0] = 0
        # one ray per pixel leaves stairs at outlines; softening only there is a tenth of the price of four rays
        outline = np.zeros(owner.shape, bool)
        for ahead, behind in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            differs = owner[ahead] != owner[behind]
            outline[ahead] |= differs
            outline[behind] |= differs
        np.copyto(colour, cv2.GaussianBlur(colour, (5, 5), OUTLINE_BLUR_PX), where=outline[..., None])
        return colour, depth

    def _shade(self, index: int, camera: Camera, pose: np.ndarray, depth, owner, maps) -> None:
        """Fills in the maps where one solid is seen."""
        solid = self.scene.solids[index]
        top, bottom, left, right = _window(solid, camera, pose)
        rows, columns = np.nonzero(owner[top:bottom, left:right] == index)
        rows, columns = rows + top, columns + left
        x, y = (a.astype(np.float32) for a in camera.rays())
        matrix, origin = _camera_to_solid(solid, pose)
        x, y, z = x[columns], y[rows], depth[rows, columns]
        direction = [float(m[0]) * x + float(m[1]) * y + float(m[2]) for m in matrix]
        face, u, v = locate(solid.shape, np.stack([o + z * d for o, d in zip(origin, direction, strict=True)]))
        look = self._lookup[index][face].T
        u, v = (u + 1) / 2, (v + 1) / 2
        slant = np.float32(1.0)
        if solid.shape == "box":
            slant = np.abs(np.choose(face // 2, [d * h for d, h in zip(direction, solid.half_m, strict=True)]))
            slant = np.maximum(slant / np.sqrt(x * x + y * y + 1), 0.05)
        texels_per_px = z / camera.fx * look[7] / np.sqrt(slant)
        level = np.log2(np.maximum(texels_per_px, 1e-3))
        maps[:, rows, columns] = [
            look[0] + u * look[2], look[1] + v * look[3], u * look[5], v * look[6], look[4], level, look[8]
        ]  # fmt: skip

    def _texture(self, s, t, tile, level) -> np.ndarray:
        """float32 HxWx3 in [0, 1]: bilinear in the two nearest sizes of the tile, and linear between them."""
        s, t = s - np.floor(s), t - np.floor(t)
        level = np.clip(level, 0, LEVELS - 1.001)
        lower = np.floor(level)
        mixed = np.zeros((*s.shape, 3), np.float32)
        for at, weight in ((lower, 1 - (level - lower)), (lower + 1, level - lower)):
            side = np.float32(TILE_PX) * np.exp2(-at)
            # half a texel: a texel's centre; one more: the seam that repeats
            x = self._level_left[at.astype(np.intp)] + s * side + np.float32(0.5)
            y = tile * (TILE_PX + 2) + t * side + np.float32(0.5)
            mixed += cv2.remap(self._tiles, x, y, cv2.INTER_LINEAR) * (weight / 255)[..., None]
        return mixed


def _tile_of(material: Material) -> Material:
    """The same for all materials that share a tile."""
    return replace(material, span_m=(1.0, 1.0), glow=0.0)


@dataclass(frozen=True)
class _Patch:
    """The rectangle of the light map that belongs to one face."""

    x: int
    y: int
    columns: int
    rows: int


def _stack_tiles(tiles: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One image with a tile per row of it and its smaller sizes to the right, and the left edge of each size."""
    widths = [(TILE_PX >> level) + 2 for level in range(LEVELS)]
    left = np.concatenate([[0], np.cumsum(widths)])
    atlas = np.zeros((len(tiles) * (TILE_PX + 2), left[-1], 3), np.uint8)
    for number, tile in enumerate(tiles):
        row = number * (TILE_PX + 2)
        for level, width in enumerate(widths):
            atlas[row : row + width, left[level] : left[level] + width] = np.pad(tile, ((1, 1), (1, 1), (0, 0)), "wrap")
            tile = cv2.resize(tile, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return atlas, left.astype(np.float32)


def _pack_faces(scene: Scene) -> tuple[dict[tuple[int, int], _Patch], tuple[int, int]]:
    """A place in the light map for each (solid, face), on shelves, and the map's rows and columns."""
    width, x, y, shelf, patches = 512, 0, 0, 0, {}
    for index, solid in enumerate(scene.solids):
        for face, size in enumerate(solid.face_sizes()):
            columns, rows = (int(np.clip(np.ceil(m / TEXEL_M) + 1, 3, MAX_TEXELS)) for m in size)
            if x + columns > width:
                x, y, shelf = 0, y + shelf, 0
            patches[index, face] = _Patch(x, y, columns, rows)
            x, shelf = x + columns, max(shelf, rows)
    return patches, (y + shelf, width)


def _light_map(scene: Scene, patches: dict[tuple[int, int], _Patch], shape: tuple[int, int]) -> np.ndarray:
    """float32 rows x columns x 3: the factor by which light scales an sRGB colour."""
    rng = np.random.default_rng(scene.seed)
    places = [_patch_points(scene.solids[index], face, patch) for (index, face), patch in patches.items()]
    points, normals = (np.concatenate(parts, axis=1).astype(np.float32) for parts in zip(*places, strict=True))
    blockers = [_Blocker.of(solid) for solid in scene.solids if np.all(np.sort(solid.half_m)[:2] >= THIN_M)]
    chunks = [slice(start, start + CHUNK) for start in range(0, points.shape[1], CHUNK)]
    bright = np.concatenate([_gather(scene, blockers, points[:, at], normals[:, at], rng) for at in chunks])
    # exposure: the room's typical surface is bright, what is near a lamp saturates softly
    bright *= 0.75 / np.median(bright[bright.sum(axis=1) > 0].mean(axis=1))
    bright = 1.35 * (1 - np.exp(-bright / 1.35))
    atlas, start = np.zeros((*shape, 3), np.float32), 0
    for patch in patches.values():
        count = patch.rows * patch.columns
        grid = bright[start : start + count].reshape(patch.rows, patch.columns, 3) ** np.float32(1 / GAMMA)
        smooth = cv2.GaussianBlur(grid, (3, 3), 0.8, borderType=cv2.BORDER_REPLICATE)  # too few rays: grainy
        atlas[patch.y : patch.y + patch.rows, patch.x : patch.x + patch.columns] = smooth
        start += count
    return atlas


def _patch_points(solid: Solid, face: int, patch: _Patch) -> tuple[np.ndarray, np.ndarray]:
    """World points (3, N) just off a face, rows first, and normals that point into the open."""
    inset = 0.985  # off the edge: a corner lies in two walls at once
    v, u = np.meshgrid(np.linspace(-inset, inset, patch.rows), np.linspace(-inset, inset, patch.columns), indexing="ij")
    off_m = 0.05 if solid.inward else 0.002  # what is flat on a wall, a picture, casts no halo
    q, normal = surface(solid.shape, face, u.ravel(), v.ravel())
    half = np.array(solid.half_m)[:, None]
    normal = solid.rotation() @ (normal / half)
    normal /= np.linalg.norm(normal, axis=0) * (-1 if solid.inward else 1)
    return solid.rotation() @ (q * half) + np.array(solid.centre_m)[:, None] + off_m * normal, normal


@dataclass(frozen=True)
class _Blocker:
    """A solid that light cannot pass, and what is asked of it again and again."""

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
    """Light (N, 3) that reaches points (3, N): lamps through soft shadows, and the room's own where it is open."""
    total = np.zeros((3, points.shape[1]), np.float32)
    shady = [b for b in blockers if not b.solid.inward and not any(m.glow for m in b.solid.materials)]
    for light in scene.lights:
        centre, half_u, half_v, power = (
            np.array(a, np.float32)[:, None, None]
            for a in (light.centre_m, light.half_u_m, light.half_v_m, light.power)
        )
        a, b = rng.uniform(-1, 1, (2, LIGHT_SAMPLES, points.shape[1])).astype(np.float32)
        to_light = centre + half_u * a + half_v * b - points[:, None]  # (3, samples, N)
        squared = (to_light**2).sum(axis=0) + np.float32(0.05)
        falls = np.maximum((to_light * normals[:, None]).sum(axis=0), 0) / squared**1.5
        if light.facing is not None:
            facing = np.array(light.facing, np.float32)[:, None, None]
            falls *= np.maximum(-(to_light * facing).sum(axis=0), 0) / np.sqrt(squared)
        for near, far, _ in _crossings(shady, points, to_light, np.array(light.centre_m)[:, None]):
            falls[(near < far) & (near < 1) & (far > 0)] = 0
        total += power[:, 0] * falls.mean(axis=0)
    ambient = np.array([0.28, 0.27, 0.25], np.float32)[:, None] * (1 + 0.25 * normals[2])
    return (total + ambient * _openness(blockers, points, normals, rng)).T


def _openness(
    blockers: list[_Blocker], points: np.ndarray, normals: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(N,) in [0, 1]: how far one can see from here, weighted by the cosine; small in corners and under furniture."""
    direction = rng.standard_normal((3, CORNER_SAMPLES, points.shape[1])).astype(np.float32)
    direction /= np.linalg.norm(direction, axis=0)
    direction += normals[:, None] * np.float32(1.001)  # a point on the sphere around the normal: cosine-weighted
    direction /= np.linalg.norm(direction, axis=0)
    reach_m = 2.5 * CORNER_M  # what is further away hardly darkens
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
