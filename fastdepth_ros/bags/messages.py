"""Messages of a bag to frames, and depth to messages of a bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdepth_ros.bags.recording import TYPES
from fastdepth_ros.data.synthetic.scene import Camera
from fastdepth_ros.depth.camera_matrix import FrameCamera
from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.depth.geometry import camera_through
from fastdepth_ros.depth.image_decoding import RawImage, decode_compressed, decode_raw
from fastdepth_ros.depth.sensor_bits import SensorBits

_Time = TYPES.types["builtin_interfaces/msg/Time"]
_Header = TYPES.types["std_msgs/msg/Header"]
_Image = TYPES.types["sensor_msgs/msg/Image"]
_CameraInfo = TYPES.types["sensor_msgs/msg/CameraInfo"]
_Region = TYPES.types["sensor_msgs/msg/RegionOfInterest"]


def frame_from_bag(message: Any, sensor: SensorBits | None = None) -> Frame:
    """The frame of an Image or CompressedImage of either ROS; `sensor` as of `decode_raw`.

    Raises:
        FrameError: as `decode_raw` and `decode_compressed` say; of a compressed image with the format that it names.
    """
    if hasattr(message, "format"):
        try:
            return decode_compressed(message.data, format_name=message.format, sensor=sensor)
        except FrameError as error:
            named = message.format and message.format in str(error)
            raise FrameError(str(error) if named else f"{error} (its format: {message.format!r})") from error
    return decode_raw(
        RawImage(
            message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
        ),
        sensor,
    )


def image_message(stamp_ns: int, frame_id: str, pixels: np.ndarray, encoding: str) -> Any:
    """sensor_msgs/msg/Image from HxW or HxWxC in little-endian order."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    data = pixels.reshape(-1).view(np.uint8)
    return _Image(_header(stamp_ns, frame_id), height, width, encoding, 0, pixels.nbytes // height, data)


def camera_info_message(
    stamp_ns: int, frame_id: str, camera: FrameCamera, from_frame: np.ndarray, shape: tuple[int, int]
) -> Any:
    """sensor_msgs/msg/CameraInfo of a depth image, from the frame's camera, which must be known, and the map."""
    assert camera.k is not None and camera.p is not None and camera.r is not None, camera.why
    k, p = camera_through(from_frame, camera.k, camera.p)
    return _CameraInfo(
        _header(stamp_ns, frame_id), *shape, camera.distortion_model,
        np.asarray(camera.d, float), k, camera.r, p, 0, 0, _Region(0, 0, 0, 0, False),
    )  # fmt: skip


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
