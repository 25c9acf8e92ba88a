"""Pictures of a scene: texture and light at the points where the rays end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from fastdepth_ros.data.synthetic.lightmap import light_map, pack_faces
from fastdepth_ros.data.synthetic.raycast import camera_to_solid, cast, locate, window
from fastdepth_ros.data.synthetic.scene import TILE_PX, Camera, Material, Scene, Solid

LEVELS = 7  # halvings of a texture, for surfaces far away
OUTLINE_BLUR_PX = 0.9


class Renderer:
    """Renderer of one scene. The constructor computes textures and light once.

    Args:
        scene: solids, lights and camera path.
        paint: function that draws the seamless tile of a material, uint8 TILE_PX x TILE_PX x 3.
    """

    def __init__(self, scene: Scene, paint: Callable[[Material], np.ndarray]):
        self.scene = scene
        materials = list(dict.fromkeys(_tile_of(m) for solid in scene.solids for m in solid.materials))
        self._tiles, self._level_left = _stack_tiles([paint(m) for m in materials])
        self._patches, atlas_shape = pack_faces(scene)
        self._light = light_map(scene, self._patches, atlas_shape)
        self._lookup = [self._face_table(i, solid, materials) for i, solid in enumerate(scene.solids)]

    def _face_table(self, index: int, solid: Solid, materials: list[Material]) -> np.ndarray:
        """float32 (faces, 9): light-map x, y, texels - 1 in u and v; tile number; tiles per face in u and v; texels per
        meter; glow."""
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
        """float32 HxWx3 sRGB in about [0, 1], without the sensor's noise, and float32 HxW meters as in `cast`."""
        depth, owner = cast(self.scene, camera, pose)
        # light-map x, y; texture s, t in tiles, tile number, level; glow
        maps = np.zeros((7, camera.height, camera.width), np.float32)
        for index in np.unique(owner[owner >= 0]):
            self._shade(int(index), camera, pose, depth, owner, maps)
        light_x, light_y, s, t, tile, level, glow = maps
        light = cv2.remap(self._light, light_x, light_y, cv2.INTER_LINEAR)
        light = np.maximum(light, glow[..., None], out=light)
        color = self._texture(s, t, tile, level)
        color *= light
        color[owner < 0] = 0
        # one ray per pixel leaves stairs at outlines; blurring only these costs a tenth of four rays per pixel
        outline = np.zeros(owner.shape, bool)
        for ahead, behind in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            differs = owner[ahead] != owner[behind]
            outline[ahead] |= differs
            outline[behind] |= differs
        np.copyto(color, cv2.GaussianBlur(color, (5, 5), OUTLINE_BLUR_PX), where=outline[..., None])
        return color, depth

    def _shade(self, index: int, camera: Camera, pose: np.ndarray, depth, owner, maps) -> None:
        """Fill the maps where one solid is visible."""
        solid = self.scene.solids[index]
        top, bottom, left, right = window(solid, camera, pose)
        rows, columns = np.nonzero(owner[top:bottom, left:right] == index)
        rows, columns = rows + top, columns + left
        x, y = (a.astype(np.float32) for a in camera.rays())
        matrix, origin = camera_to_solid(solid, pose)
        x, y, z = x[columns], y[rows], depth[rows, columns]
        direction = [float(m[0]) * x + float(m[1]) * y + float(m[2]) for m in matrix]
        face, u, v = locate(solid.shape, np.stack([o + z * d for o, d in zip(origin, direction, strict=True)]))
        row = self._lookup[index][face].T
        u, v = (u + 1) / 2, (v + 1) / 2
        slant = np.float32(1.0)
        if solid.shape == "box":
            slant = np.abs(np.choose(face // 2, [d * h for d, h in zip(direction, solid.half_m, strict=True)]))
            slant = np.maximum(slant / np.sqrt(x * x + y * y + 1), 0.05)
        texels_per_px = z / camera.fx * row[7] / np.sqrt(slant)
        level = np.log2(np.maximum(texels_per_px, 1e-3))
        maps[:, rows, columns] = [
            row[0] + u * row[2], row[1] + v * row[3], u * row[5], v * row[6], row[4], level, row[8]
        ]  # fmt: skip

    def _texture(self, s, t, tile, level) -> np.ndarray:
        """float32 HxWx3 in [0, 1]: bilinear in the two nearest sizes of the tile, and linear between them."""
        s, t = s - np.floor(s), t - np.floor(t)
        level = np.clip(level, 0, LEVELS - 1.001)
        lower = np.floor(level)
        mixed = np.zeros((*s.shape, 3), np.float32)
        for at, weight in ((lower, 1 - (level - lower)), (lower + 1, level - lower)):
            side = np.float32(TILE_PX) * np.exp2(-at)
            # half a texel: a texel's center; one more: the seam that repeats
            x = self._level_left[at.astype(np.intp)] + s * side + np.float32(0.5)
            y = tile * (TILE_PX + 2) + t * side + np.float32(0.5)
            mixed += cv2.remap(self._tiles, x, y, cv2.INTER_LINEAR) * (weight / 255)[..., None]
        return mixed


def _tile_of(material: Material) -> Material:
    """The material without span and glow: equal for all materials that share a tile."""
    return replace(material, span_m=(1.0, 1.0), glow=0.0)


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
