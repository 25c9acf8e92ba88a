"""Messages of a bag that hold images and their cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdepth_ros.bags.reader import TYPES
from fastdepth_ros.data.synthetic.scene import Camera
from fastdepth_ros.depth.camera_info import FrameCamera, camera_info_fields
from fastdepth_ros.depth.points import POINT_STEP, point_layout

_Time = TYPES.types["builtin_interfaces/msg/Time"]
_Header = TYPES.types["std_msgs/msg/Header"]
_Image = TYPES.types["sensor_msgs/msg/Image"]
_CameraInfo = TYPES.types["sensor_msgs/msg/CameraInfo"]
_PointCloud2 = TYPES.types["sensor_msgs/msg/PointCloud2"]
_PointField = TYPES.types["sensor_msgs/msg/PointField"]
_Region = TYPES.types["sensor_msgs/msg/RegionOfInterest"]


def image_message(stamp_ns: int, frame_id: str, pixels: np.ndarray, encoding: str) -> Any:
    """sensor_msgs/msg/Image from HxW or HxWxC in little-endian order."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    data = pixels.reshape(-1).view(np.uint8)
    return _Image(_header(stamp_ns, frame_id), height, width, encoding, 0, pixels.nbytes // height, data)


def points_message(stamp_ns: int, frame_id: str, points: np.ndarray, is_dense: bool) -> Any:
    """sensor_msgs/msg/PointCloud2 of `depth.points.filtered_points`."""
    height, width = points.shape[:2]
    fields = [_PointField(name, offset, kind, 1) for name, offset, kind in point_layout()]
    data = points.astype("<f4").reshape(-1).view(np.uint8)
    step = POINT_STEP * width
    return _PointCloud2(_header(stamp_ns, frame_id), height, width, fields, False, POINT_STEP, step, data, is_dense)


def camera_info_message(
    stamp_ns: int, frame_id: str, camera: FrameCamera, from_frame: np.ndarray, shape: tuple[int, int]
) -> Any:
    """sensor_msgs/msg/CameraInfo of a depth image, from the frame's camera, which must be known, and the map."""
    fields = camera_info_fields(camera, from_frame, shape)
    fields["d"] = np.asarray(camera.d, float)
    return _CameraInfo(_header(stamp_ns, frame_id), **fields, binning_x=0, binning_y=0, roi=_Region(0, 0, 0, 0, False))


def camera_info_of(stamp_ns: int, frame_id: str, camera: Camera) -> Any:
    """sensor_msgs/msg/CameraInfo of a pinhole camera without distortion."""
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], float)
    p = np.hstack([k, np.zeros((3, 1))])
    return _CameraInfo(
        _header(stamp_ns, frame_id), camera.height, camera.width, "plumb_bob",
        np.zeros(5), k.ravel(), np.eye(3).ravel(), p.ravel(), 0, 0, _Region(0, 0, 0, 0, False),
    )  # fmt: skip


def _header(stamp_ns: int, frame_id: str) -> Any:
    return _Header(_Time(*divmod(stamp_ns, 1_000_000_000)), frame_id)
