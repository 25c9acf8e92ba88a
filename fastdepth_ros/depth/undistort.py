"""Frames without the distortion of their lens, and the camera that they then are of."""

from __future__ import annotations

from dataclasses import replace
from math import atan, degrees, radians, tan
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.camera_info import FrameCamera, is_distorted, is_usable
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.errors import FastDepthError

WIDEST_DEG = 120.0  # beyond it a picture without distortion is mostly its edges
COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}  # their number
_SIDE = tan(radians(WIDEST_DEG / 2))
_NONE = np.eye(3)
Maps = tuple[np.ndarray, np.ndarray]


class Undistorter:
    """Takes the distortion out of frames; the maps are made once for each camera and size of frame.

    `problem` says why the last frame was left as it is though its lens distorts; "" if it was not.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._key: tuple[Any, ...] = ()
        self._made: tuple[Maps, FrameCamera] | None = None

    def __call__(self, frame: Frame, camera: FrameCamera) -> tuple[Frame, FrameCamera]:
        """The frame without distortion and its camera, or both unchanged: there is no distortion, or a problem.

        Args:
            frame: frame that is not rectified.
            camera: camera of the frame, with its distortion.
        """
        if camera.fault:
            self.problem = camera.why
            return frame, camera
        assert camera.k is not None and camera.p is not None and camera.r is not None
        shape = frame.pixels.shape[:2]
        numbers = (np.asarray(one, float).tobytes() for one in (camera.k, camera.p, camera.r, camera.d))
        key = (shape, camera.distortion_model, camera.has_p, *numbers)
        if key != self._key:
            self._key, self.problem, self._made = key, "", None
            try:
                self._made = undistortion(camera, shape) if is_distorted(camera) else None
            except FastDepthError as error:
                self.problem = str(error)
        if self._made is None:
            return frame, camera
        maps, without = self._made
        return Frame(cv2.remap(frame.pixels, *maps, cv2.INTER_LINEAR), frame.order), without


def undistortion(camera: FrameCamera, shape: tuple[int, int]) -> tuple[Maps, FrameCamera]:
    """Maps of cv2.remap that take the distortion out of frames, and the camera of what comes out.

    Its K is P's left part where camera_info has a P, else the optimal matrix without a black border; its D is zero.
    What would be over 60 degrees off the axis is cut: the focal lengths are raised until nothing is.

    Args:
        camera: camera of the frames, without a fault.
        shape: height and width of the frames.

    Raises:
        FastDepthError: the lens model is none of COEFFICIENTS, or has not its number of coefficients.
    """
    assert camera.k is not None and camera.p is not None and camera.r is not None
    model, d = camera.distortion_model, np.array(camera.d, float)
    if model not in COEFFICIENTS:
        raise FastDepthError(f"lens model {model!r} cannot be undistorted; {', '.join(COEFFICIENTS)} can")
    if len(d) not in COEFFICIENTS[model] or not np.isfinite(d).all():
        numbers = " or ".join(map(str, COEFFICIENTS[model]))
        raise FastDepthError(f"{model} has {numbers} finite coefficients, camera_info has {d.tolist()}")
    fisheye, k, size = model == "equidistant", camera.k.reshape(3, 3), shape[::-1]
    p = camera.p.reshape(3, 4).copy()
    r = camera.r.reshape(3, 3) if camera.has_p else _NONE
    if not camera.has_p:
        p[:, :3], p[:, 3] = _optimal(k, d, size, fisheye), 0.0
    cut = _cut(p, shape)
    new_map = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
    maps = new_map(k, d, r, p[:, :3].copy(), size, cv2.CV_16SC2)
    new_k = p[:, :3].ravel()
    note = "; ".join(filter(None, (camera.note, cut)))
    without = replace(
        camera, note=note, matrix=new_k, k=new_k, p=p.ravel(), r=_NONE.ravel(), d=(0.0,) * 5,
        distortion_model="plumb_bob",
    )  # fmt: skip
    return maps, without


def _optimal(k: np.ndarray, d: np.ndarray, size: tuple[int, int], fisheye: bool) -> np.ndarray:
    """Camera matrix (3, 3) of the largest view in which every pixel has its place in the frame."""
    if not fisheye:
        return cv2.getOptimalNewCameraMatrix(k, d, size, 0)[0]
    return cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(k, d, size, _NONE, balance=0.0)


def _cut(p: np.ndarray, shape: tuple[int, int]) -> str:
    """Raise the focal lengths of a P (3, 4), in place, until nothing is beyond WIDEST_DEG; "" if nothing was."""
    height, width = shape
    if not is_usable(p.ravel()):  # a lens of 180 degrees or more has no such matrix
        p[:] = [[1.0, 0, (width - 1) / 2, 0], [0, 1.0, (height - 1) / 2, 0], [0, 0, 1, 0]]
    sides = np.array([[p[0, 2] + 0.5, width - 0.5 - p[0, 2]], [p[1, 2] + 0.5, height - 0.5 - p[1, 2]]])
    widths = sides / p[[0, 1], [0, 1], None]  # tangents, (x, y) by (one side, the other)
    factor = widths.max() / _SIDE
    if factor <= 1:
        return ""
    p[:2, [0, 1, 3]] *= factor
    view_deg = max(degrees(atan(one) + atan(other)) for one, other in widths)
    return f"field of view of {view_deg:.0f} degrees without distortion, cut to {WIDEST_DEG:.0f}"
