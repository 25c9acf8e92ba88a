"""Projections of a depth image: into a point cloud, and onto its frame."""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.depth.camera_info import is_usable
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.geometry import Focal, trained_view

MAX_POINTS_PER_SIDE = 160


def point_cloud(depth: np.ndarray, k: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Back-project a depth image: X = (u - cx) Z / fx, Y = (v - cy) Z / fy (REP 103: z forward, x right, y down).

    Args:
        depth: float HxW meters along the optical axis. Only finite depth above 0 gives a point. Every n-th pixel is
            used, so that no side has more than `MAX_POINTS_PER_SIDE`.
        k: 3x3 camera matrix of the depth image; an unusable one (zeros, NaN) gives no points.
        colors: uint8 BGR picture of the same view, of any size.

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


def painted(points: np.ndarray, k: np.ndarray, depth_size_px: tuple[int, int], colors: np.ndarray) -> np.ndarray:
    """Colors of points: those of the pixels that they are seen at.

    Args:
        points: float (N, 3) meters in the optical frame, z above 0.
        k: 3x3 camera matrix of the depth image that they were made of, a usable one.
        depth_size_px: its width and height.
        colors: uint8 BGR picture of the same view, of any size.

    Returns:
        uint8 (N, 3) RGB.
    """
    x, y, z = points.T
    seen = []
    for place, side_px, size in ((0, depth_size_px[0], colors.shape[1]), (1, depth_size_px[1], colors.shape[0])):
        pixel = k[place, place] * (x, y)[place] / z + k[place, 2]
        seen.append(np.clip((pixel + 0.5) * size / side_px, 0, size - 1).astype(int))
    return np.ascontiguousarray(colors[seen[1], seen[0], ::-1])


def view_of(
    frame: np.ndarray, depth_size_px: tuple[int, int], camera: np.ndarray | None, depth_camera: np.ndarray | None
) -> np.ndarray:
    """Crop a frame to the part that its depth image shows.

    Args:
        frame: HxWxC.
        depth_size_px: width and height of the depth image.
        camera, depth_camera: 3x3 camera matrices of frame and depth. Where one is None, depth of another size than
            the frame's is assumed to show the trained field of view.

    Returns:
        View of `frame`; all of it where the matrices do not fit each other.
    """
    height, width = frame.shape[:2]
    if depth_size_px == (width, height):
        return frame
    if camera is None or depth_camera is None or not camera[0, 0] or not depth_camera[0, 0]:
        return frame[trained_view(height, width).slices]
    onto_frame = camera @ np.linalg.inv(depth_camera)
    corners = np.array([[-0.5, -0.5, 1.0], [depth_size_px[0] - 0.5, depth_size_px[1] - 0.5, 1.0]])
    (left, top), (right, bottom) = (corners @ onto_frame.T)[:, :2] + 0.5
    left, right = np.clip([round(left), round(right)], 0, width)
    top, bottom = np.clip([round(top), round(bottom)], 0, height)
    if right - left < 2 or bottom - top < 2:  # the matrices are of two cameras
        return frame
    return frame[top:bottom, left:right]


def depth_camera(result: DepthResult, camera: np.ndarray | None, trained: Focal | None) -> np.ndarray | None:
    """3x3 camera matrix of a depth image.

    Args:
        camera: camera matrix (9,) of the frame. None assumes the training camera, as the network does.
        trained: focal length of the training camera at the network input, pixels.

    Returns:
        3x3 matrix; None where neither is known.
    """
    if camera is not None:
        return result.from_frame @ np.reshape(camera, (3, 3))
    if trained is None:
        return None
    rows, columns = result.depth.shape
    return np.array([[trained.fx, 0, (columns - 1) / 2], [0, trained.fy, (rows - 1) / 2], [0, 0, 1.0]])
