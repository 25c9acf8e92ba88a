"""Frames as pictures, and the part of them that a depth image shows."""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import trained_view

_TO_BGR = {
    "rgb": cv2.COLOR_RGB2BGR, "rgba": cv2.COLOR_RGBA2BGR, "bgra": cv2.COLOR_BGRA2BGR, "mono": cv2.COLOR_GRAY2BGR
}  # fmt: skip


def as_bgr(frame: Frame) -> np.ndarray:
    """uint8 HxWx3 BGR."""
    return frame.pixels if frame.order == "bgr" else cv2.cvtColor(frame.pixels, _TO_BGR[frame.order])


def jpeg(bgr: np.ndarray, quality: int = 85) -> bytes:
    """JPEG of uint8 HxWx3 BGR."""
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError(f"OpenCV cannot write a JPEG of shape {bgr.shape}")
    return encoded.tobytes()


def view_of(
    frame: np.ndarray, depth_size_px: tuple[int, int], camera: np.ndarray | None, depth_camera: np.ndarray | None
) -> np.ndarray:
    """The part of a frame that its depth image shows.

    Args:
        frame: HxWxC.
        depth_size_px: width and height of the depth image.
        camera, depth_camera: their 3x3 camera matrices; without both, depth of another size than the frame is taken
            for that of the trained field of view.
    """
    height, width = frame.shape[:2]
    if depth_size_px == (width, height):
        return frame
    if camera is None or depth_camera is None or not camera[0, 0] or not depth_camera[0, 0]:
        crop = trained_view(height, width)
        return frame[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    onto_frame = camera @ np.linalg.inv(depth_camera)
    corners = np.array([[-0.5, -0.5, 1.0], [depth_size_px[0] - 0.5, depth_size_px[1] - 0.5, 1.0]])
    (left, top), (right, bottom) = (corners @ onto_frame.T)[:, :2] + 0.5
    left, right = np.clip([round(left), round(right)], 0, width)
    top, bottom = np.clip([round(top), round(bottom)], 0, height)
    if right - left < 2 or bottom - top < 2:  # matrices that do not belong together
        return frame
    return frame[top:bottom, left:right]
