"""ROS messages to frames, and depth to ROS messages."""

from __future__ import annotations

import math
import sys
from array import array
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fastdepth_ros.depth.encodings import RawImage, UnknownEncodingError, decode_compressed, decode_raw
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import camera_through

try:  # a robot has it; it knows more encodings than we do
    from cv_bridge import CvBridge, CvBridgeError
except ImportError:
    CvBridge = None


def frame_from_message(message: Image | CompressedImage) -> Frame:
    """The frame of an image message; packed 8-bit encodings are viewed in the message's own memory.

    Raises:
        FrameError: as `decode_raw` and `decode_compressed` say.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, format_name=message.format)
    try:
        return decode_raw(
            RawImage(
                message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
            )
        )
    except UnknownEncodingError:
        if CvBridge is None:
            raise
    try:
        return Frame(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except CvBridgeError as error:
        raise UnknownEncodingError(f"cv_bridge cannot read encoding {message.encoding!r}: {error}") from error


def stamp_ns(header: Header) -> int:
    """A stamp as a whole number; rclpy's Time refuses negative ones, which a broken driver can send."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def image_memory(message: Image, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """The memory of an image message as an array to write in; it is reused where the size is the same.

    Args:
        shape: HxW or HxWxC.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if len(message.data) != size_bytes:
        message.data = array("B", bytes(size_bytes))
    return np.frombuffer(message.data, dtype).reshape(shape)


def describe_image(message: Image, header: Header, pixels: np.ndarray, encoding: str) -> None:
    """Say what lies in a message's memory: `pixels`, HxW or HxWxC in this machine's byte order."""
    message.header = header
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big")
    message.step = pixels.nbytes // message.height


def fill_image(message: Image, header: Header, pixels: np.ndarray, encoding: str) -> None:
    """Copy an array, HxW or HxWxC, into a message."""
    image_memory(message, pixels.shape, pixels.dtype)[...] = pixels
    describe_image(message, header, pixels, encoding)


def fill_camera_info(
    message: CameraInfo, header: Header, source: Any, from_frame: np.ndarray, shape: tuple[int, int]
) -> None:
    """The camera behind a depth image: K and P through crop and scale, distortion and rectification as they were.

    Args:
        source: the camera's own CameraInfo.
        from_frame: 3x3 map from frame pixels to depth pixels.
        shape: height and width of the depth image.
    """
    message.header = header
    message.height, message.width = shape
    message.distortion_model, message.d, message.r = source.distortion_model, source.d, source.r
    message.k, message.p = camera_through(from_frame, source.k, source.p)
