"""World points of a depth image."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic.scene import Camera


def seen_points(camera: Camera, depth: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """World points (H, W, 3) of a depth image, with K and the pose only."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(float)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    return (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
