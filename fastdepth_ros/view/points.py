"""A point cloud from depth and camera matrix."""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.depth.camera_info import is_usable

MAX_POINTS_PER_SIDE = 160


def point_cloud(depth: np.ndarray, k: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Back-project a depth image: X = (u - cx) Z / fx, Y = (v - cy) Z / fy (REP 103: z forward, x right, y down).

    Args:
        depth: float HxW meters along the optical axis; what is not above 0 and finite gives no point. Every n-th pixel
            is taken, so that no side has more than 160.
        k: 3x3 camera matrix of the depth image; one that is no camera's (zeros, NaN) gives no points.
        colors: uint8 of any size, BGR, of the same view.

    Returns:
        float32 (N, 3) meters and uint8 (N, 3) RGB.
    """
    if not is_usable(k.ravel()):
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8)
    height, width = depth.shape
    step = -(-max(height, width) // MAX_POINTS_PER_SIDE)
    v, u = np.mgrid[0:height:step, 0:width:step]  # (h, w)
    z = depth[::step, ::step]
    painted = cv2.resize(colors, (width, height), interpolation=cv2.INTER_AREA)[::step, ::step, ::-1]
    valid = np.isfinite(z) & (z > 0)
    z = z[valid]
    x, y = (u[valid] - k[0, 2]) * z / k[0, 0], (v[valid] - k[1, 2]) * z / k[1, 1]
    return np.stack([x, y, z], axis=-1).astype(np.float32), np.ascontiguousarray(painted[valid])
