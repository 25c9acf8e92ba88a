"""camera_info of ROS 1 or ROS 2: its topic, the camera that it gives frames and depth, and a cache by stamp."""

from __future__ import annotations

import re
import threading
from bisect import bisect_right, insort
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, TypeVar

import numpy as np

from fastdepth_ros.depth.geometry import Crop, Numbers, camera_through

MISSING, MISMATCH, UNCALIBRATED = "camera_info_missing", "camera_info_mismatch", "camera_info_uncalibrated"
_SMALLEST, _LARGEST = 1e-9, 1e9  # beyond these a matrix is no camera's, and its products may overflow
_SHORTEST_PX = 1.0  # of focal lengths: drivers without a calibration also send the identity
_FISHEYE = ("equidistant", "fisheye", "kannala_brandt", "omnidirectional")  # distort whatever their coefficients are
IDENTITY = np.eye(3).ravel()
Message = TypeVar("Message")


@dataclass(frozen=True)
class FrameCamera:
    """The camera of a frame, in the frame's own pixels: `binning` and `roi` are worked in.

    Args:
        fault: reason why `k` and `p` are not known: MISSING, MISMATCH or UNCALIBRATED; "" if they are.
        why: the fault in words, with the values.
        note: fault of a camera_info that can be used all the same, "" if none.
        matrix: (9,) that holds for the frame's pixels; None is unknown. It can be known where `k` and `p` are not.
        k, p, r: (9,), (12,) and (9,) for the frame's own camera_info, all or none.
        d, distortion_model: distortion, unchanged.
        has_p: whether P is camera_info's own.
    """

    fault: str = ""
    why: str = ""
    note: str = ""
    matrix: np.ndarray | None = None
    k: np.ndarray | None = None
    p: np.ndarray | None = None
    r: np.ndarray | None = None
    d: Numbers = ()
    distortion_model: str = ""
    has_p: bool = True


def frame_camera(info: Any | None, shape: tuple[int, int], *, rectified: bool = False) -> FrameCamera:
    """Camera of frames of one size, read from a camera_info.

    Args:
        info: a sensor_msgs/CameraInfo; ROS 1 writes its fields in capitals. None is none.
        shape: height and width of the frame.
        rectified: the frame is rectified, so that P holds for its pixels; else K does.
    """
    if info is None:
        return FrameCamera(MISSING, "there is no camera_info")
    if not any(
        is_usable(_field(info, name)) for name in "kp"
    ):  # a driver without a calibration may send no size either
        k, p = _field(info, "k"), _field(info, "p")
        return FrameCamera(UNCALIBRATED, f"camera_info is not calibrated: {_diagonal('K', k)}, {_diagonal('P', p)}")
    from_sensor = _from_sensor(info, shape)
    if from_sensor is None:
        return FrameCamera(MISMATCH, f"camera_info is of {_sizes(info)}, frames are {shape[1]}x{shape[0]}")
    return _calibrated(info, from_sensor, rectified)


def camera_info_fields(camera: FrameCamera, from_frame: np.ndarray, shape: tuple[int, int]) -> dict[str, Any]:
    """Fields of the sensor_msgs/CameraInfo of a depth image but for the header: K and P through crop and scale.

    Args:
        camera: camera of the frame, without a fault.
        from_frame: 3x3 map from frame pixels to depth pixels.
        shape: height and width of the depth image.
    """
    assert camera.k is not None and camera.p is not None and camera.r is not None, camera.why
    k, p = camera_through(from_frame, camera.k, camera.p)
    size = {"height": shape[0], "width": shape[1]}
    return {**size, "distortion_model": camera.distortion_model, "d": camera.d, "k": k, "r": camera.r, "p": p}


def camera_info_beside(image_topic: str, compressed: bool = False) -> str:
    """camera_info topic in the namespace of an image topic, or of a compressed image's raw sibling."""
    namespace, slash, _ = without_transport(image_topic, compressed).rpartition("/")
    return f"{namespace}{slash}camera_info"


def without_transport(image_topic: str, compressed: bool) -> str:
    """Base name of an image topic: image_transport appends /compressed or /compressedDepth to it."""
    return image_topic.removesuffix("/compressed").removesuffix("/compressedDepth") if compressed else image_topic


def is_rectified(image_topic: str) -> bool:
    """Whether an image topic's name says that lens distortion is taken out: `image_rect`, `rect/image`.

    The part of the name that is nearest to its end counts: `rect/image_raw` is raw.
    """
    for part in reversed(image_topic.removesuffix("/compressed").split("/")):
        words = set(re.split(r"[^a-z]+", part.lower()))
        if words & {"rect", "rectified"}:
            return not words & {"non", "not", "un"}
        if words & {"raw", "unrect", "unrectified"}:
            return False
    return False


def is_distorted(info: Any) -> bool:
    """Whether a camera_info says that its lens distorts the images that are not rectified."""
    return is_fisheye(info) or any(_field(info, "d"))


def is_fisheye(info: Any) -> bool:
    return info.distortion_model.lower() in _FISHEYE


def is_usable(matrix: Numbers) -> bool:
    """Whether a K (9 numbers) or P (12 numbers), row by row, can belong to a camera: finite, focal lengths of
    more than a pixel."""
    columns = len(matrix) // 3
    finite = all(isfinite(value) and abs(value) < _LARGEST for value in matrix)
    return finite and min(matrix[0], matrix[columns + 1]) > _SHORTEST_PX and matrix[2 * columns + 2] > _SMALLEST


def _from_sensor(info: Any, shape: tuple[int, int]) -> np.ndarray | None:
    """3x3 map from the pixels that K is of to those of the frame; None where the sizes do not fit.

    K is of all of the sensor, and the frame is its region of interest, binned: sensor_msgs/CameraInfo. Drivers that
    say `binning` or `roi` of a camera_info which already is of the frame's size mean K as it stands.
    """
    if (info.height, info.width) == shape:
        return np.eye(3)
    across, down = _binning(info)
    region = _region(info)
    fits = all(
        # an odd row or column at the end is left out, or is a pixel of its own
        size in (whole // bins, -(-whole // bins))
        for size, whole, bins in zip(shape, (region.height, region.width), (down, across))
    )
    inside = region.top + region.height <= info.height and region.left + region.width <= info.width
    if not (fits and inside and region.height and region.width):
        return None
    return Crop(region.top, region.left, shape[0] * down, shape[1] * across).onto_grid(*shape)


def _binning(info: Any) -> tuple[int, int]:
    """Across and down; 0 is 1."""
    return max(getattr(info, "binning_x", 0), 1), max(getattr(info, "binning_y", 0), 1)


def _region(info: Any) -> Crop:
    roi = getattr(info, "roi", None)
    if roi is None or not (roi.height or roi.width):
        return Crop(0, 0, info.height, info.width)
    return Crop(roi.y_offset, roi.x_offset, roi.height or info.height, roi.width or info.width)


def _sizes(info: Any) -> str:
    size, (across, down), region = f"{info.width}x{info.height}", _binning(info), _region(info)
    if (region.height, region.width) != (info.height, info.width):
        size += f" (roi {region.width}x{region.height})"
    return size + (f" (binning {across}x{down})" if (across, down) != (1, 1) else "")


def _calibrated(info: Any, from_sensor: np.ndarray, rectified: bool) -> FrameCamera:
    """K and P in the frame's pixels; where one of them cannot be used, what the other one says."""
    k, p, r = (np.array(_field(info, name), float) for name in "kpr")
    has_k, has_p, distorted = is_usable(k), is_usable(p), is_distorted(info)
    note = ""
    if not has_p and rectified and distorted:
        why = f"camera_info has no P for a rectified image of a lens that distorts: {_diagonal('P', p)}"
        return FrameCamera(UNCALIBRATED, why, matrix=camera_through(from_sensor, k, np.zeros(12))[0])
    if not has_k and not rectified and distorted:
        why = f"camera_info has no K for an image of a lens that distorts: {_diagonal('K', k)}"
        return FrameCamera(UNCALIBRATED, why)
    if not has_p:
        note = f"{_diagonal('P', p)}: P is made of K"
        p, r = p_of(k), IDENTITY
    elif not has_k:
        note = f"{_diagonal('K', k)}: K is made of P"
        k = p.reshape(3, 4)[:, :3].ravel()
    if not (np.isfinite(r).all() and r.any()):
        r = IDENTITY
    k, p = camera_through(from_sensor, k, p)
    matrix = p.reshape(3, 4)[:, :3].ravel() if rectified else k
    return FrameCamera("", "", note, matrix, k, p, r, _field(info, "d"), info.distortion_model, has_p)


def p_of(k: np.ndarray) -> np.ndarray:
    """P (12,) of a K (9,)."""
    return np.hstack([k.reshape(3, 3), np.zeros((3, 1))]).ravel()


def _diagonal(name: str, matrix: np.ndarray) -> str:
    return f"{name} has the focal lengths {matrix[0]:g} and {matrix[len(matrix) // 3 + 1]:g}"


def _field(info: Any, name: str) -> Any:
    return getattr(info, name if hasattr(info, "k") else name.upper())


def stamp_ns(message: Any) -> int:
    """Stamp of a message with a header, in nanoseconds; rclpy's Time refuses negative ones, which drivers can send."""
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec


class StampCache(Generic[Message]):
    """Messages by their stamp; one thread may add while another one looks.

    Args:
        keep: number of the newest that are kept; 0 keeps all.
    """

    def __init__(self, keep: int = 0) -> None:
        self._keep = keep
        self._stamps_ns: list[int] = []
        self._messages: dict[int, Message] = {}
        self._lock = threading.Lock()

    def add(self, stamp_ns: int, message: Message) -> None:
        with self._lock:
            if stamp_ns not in self._messages:
                insort(self._stamps_ns, stamp_ns)
            self._messages[stamp_ns] = message
            if self._keep and len(self._stamps_ns) > self._keep:
                del self._messages[self._stamps_ns.pop(0)]

    def of(self, stamp_ns: int) -> Message | None:
        """The message of this very stamp; None if there is none."""
        return self._messages.get(stamp_ns)

    def at(self, stamp_ns: int) -> Message | None:
        """The message of this very stamp, else the newest before it, else the first; None if there is none."""
        with self._lock:
            if not self._stamps_ns:
                return None
            return self._messages[self._stamps_ns[max(bisect_right(self._stamps_ns, stamp_ns) - 1, 0)]]
