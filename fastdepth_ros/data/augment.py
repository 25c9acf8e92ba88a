"""Training augmentation of the FastDepth authors, as one warp.

Scale by s in [1, 1.5] with the depth divided by s, rotation of +-5 degrees, horizontal flip, and colour jitter of 0.4
in brightness, contrast and saturation. The authors resize, rotate, crop and resize again, each to the nearest pixel;
one affine warp from the camera's frame to the network's grid does the same without three roundings.
"""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.depth.geometry import trained_view

MAX_SCALE = 1.5
MAX_ANGLE_DEG = 5.0
JITTER = 0.4


def augment(
    rgb: np.ndarray, depth: np.ndarray, size_px: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random training sample from one pair.

    Args:
        rgb: uint8 HxWx3.
        depth: float32 HxW metres.
        size_px: side of the network input.

    Returns:
        uint8 size x size x 3, and float32 metres of size/2 x size/2 (the grid that leaves the network), 0 outside the
        frame.
    """
    scale = rng.uniform(1.0, MAX_SCALE)
    height, width = depth.shape
    to_frame = _warp(height, width, size_px, scale, rng.uniform(-MAX_ANGLE_DEG, MAX_ANGLE_DEG), rng.random() < 0.5)
    half = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])  # centre of each 2x2 block
    colour_filter = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_LINEAR  # the authors', and the node's
    rgb = cv2.warpAffine(rgb, to_frame[:2], (size_px, size_px), flags=colour_filter | cv2.WARP_INVERSE_MAP)
    depth = cv2.warpAffine(
        depth, (to_frame @ half)[:2], (size_px // 2, size_px // 2), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    return _jitter(rgb, rng), depth / np.float32(scale)


def _warp(height: int, width: int, size_px: int, scale: float, angle_deg: float, flip: bool) -> np.ndarray:
    """3x3 map from network pixels to frame pixels, pixel centres at whole numbers."""
    view = trained_view(height, width)
    centre_out = np.array([[1, 0, -(size_px - 1) / 2], [0, 1, -(size_px - 1) / 2], [0, 0, 1]])
    zoom = np.diag([(-1 if flip else 1) * view.width / size_px / scale, view.height / size_px / scale, 1])
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    centre_in = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    return centre_in @ turn @ zoom @ centre_out


def _jitter(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and saturation by a factor in [0.6, 1.4] each, as one 3x4 colour matrix."""
    brightness, contrast, saturation = rng.uniform(1 - JITTER, 1 + JITTER, 3)
    luma = np.array([0.299, 0.587, 0.114])
    mean_luma = float(rgb.reshape(-1, 3).mean(axis=0) @ luma) * brightness
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(luma, (3, 1))
    matrix = np.empty((3, 4))
    matrix[:, :3] = brightness * contrast * mix
    matrix[:, 3] = (1 - contrast) * mean_luma
    return cv2.transform(rgb, matrix)  # saturates to uint8
