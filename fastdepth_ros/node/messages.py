"""ROS messages to frames, and depth to ROS messages."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fastdepth_ros.depth.camera_matrix import FrameCamera
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import camera_through
from fastdepth_ros.depth.image_decoding import RawImage, UnknownEncodingError, decode_compressed, decode_raw
from fastdepth_ros.depth.sensor_bits import SensorBits

try:  # a robot has it; it knows more encodings than we do
    from cv_bridge import CvBridge
except Exception:  # absent, or built for another numpy or OpenCV: it is optional, whatever it raises
    CvBridge = None


STAMP, STAMP_AT = struct.Struct("=iI"), 4  # behind the four bytes that say how a message is serialized
LENGTH = struct.Struct("=I")
LITTLE_ENDIAN = 1  # CDR's second byte
Content = TypeVar("Content")


def frame_from_message(message: Image | CompressedImage, sensor: SensorBits | None = None) -> Frame:
    """The frame of an image message; packed 8-bit encodings are viewed in the message's own memory.

    Args:
        sensor: as of `decode_raw`.

    Raises:
        FrameError: as `decode_raw` and `decode_compressed` say.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, format_name=message.format, sensor=sensor)
    try:
        return decode_raw(
            RawImage(
                message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
            ),
            sensor,
        )
    except UnknownEncodingError:
        if CvBridge is None:
            raise
    try:
        return Frame(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except Exception as error:  # CvBridgeError, or AttributeError beside a numpy that does not fit it
        raise UnknownEncodingError(f"cv_bridge cannot read encoding {message.encoding!r}: {error}") from error


def stamp_ns(header: Header) -> int:
    """A stamp as a whole number; rclpy's Time refuses negative ones, which a broken driver can send."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


class ImageBytes:
    """Serialized image messages: the pixels are copied once, and nothing else is done anew but the stamp.

    rclpy publishes bytes as they are; of a message it makes first a C structure and then those bytes.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._head = b""

    def __call__(self, header: Header, pixels: np.ndarray, encoding: str) -> bytes:
        """The message as `Publisher.publish` takes it.

        Args:
            pixels: HxW or HxWxC in this machine's byte order.
        """
        key = (header.frame_id, pixels.shape, pixels.dtype, encoding)
        if key != self._key:
            height, width = pixels.shape[:2]
            message = Image(header=header, height=height, width=width, encoding=encoding)
            message.is_bigendian = int(sys.byteorder == "big")
            message.step = pixels.nbytes // height
            empty = serialize_message(message)
            self._head = empty[: -LENGTH.size] + LENGTH.pack(pixels.nbytes)  # `data` is the last field
            self._key = key
        return b"".join((*_stamped(self._head, header), np.ascontiguousarray(pixels).data))


class CameraInfoReader(Generic[Content]):
    """Serialized camera_info to what is made of it: read only when something but the stamp has changed.

    Args:
        make: of a message, which is shared by all that say the same.
    """

    def __init__(self, make: Callable[[CameraInfo], Content]) -> None:
        self._make = make
        self._known: tuple[bytes, bytes] | None = None
        self._content: Content

    def __call__(self, serialized: bytes) -> tuple[int, Content]:
        """The stamp in nanoseconds, and the content.

        Raises:
            RuntimeError: the bytes are no such message.
        """
        known = serialized[:STAMP_AT], serialized[STAMP_AT + STAMP.size :]
        if known != self._known:
            self._known = None
            message = deserialize_message(serialized, CameraInfo)
            self._content = self._make(message)
            if serialized[1] != LITTLE_ENDIAN or sys.byteorder != "little":
                return stamp_ns(message.header), self._content
            self._known = known
        seconds, nanoseconds = STAMP.unpack_from(serialized, STAMP_AT)
        return seconds * 1_000_000_000 + nanoseconds, self._content


class CameraInfoBytes:
    """Serialized messages of the camera behind the depth images; made anew when camera, frame or grid change."""

    def __init__(self) -> None:
        self._source: FrameCamera | None = None
        self._key: tuple[Any, ...] = ()
        self._bytes = b""

    def __call__(self, header: Header, source: FrameCamera, from_frame: np.ndarray, shape: tuple[int, int]) -> bytes:
        """The message as `Publisher.publish` takes it; the arguments are those of `fill_camera_info`.

        A source that was given before is not looked into again.
        """
        key = (header.frame_id, shape, from_frame.tobytes())
        if source is not self._source or key != self._key:
            message = CameraInfo()
            fill_camera_info(message, header, source, from_frame, shape)
            self._source, self._key, self._bytes = source, key, serialize_message(message)
        return b"".join(_stamped(self._bytes, header))


def _stamped(serialized: bytes, header: Header) -> tuple[bytes, bytes, bytes]:
    """A serialized message that begins with a header, its stamp replaced."""
    stamp = STAMP.pack(header.stamp.sec, header.stamp.nanosec)
    return serialized[:STAMP_AT], stamp, serialized[STAMP_AT + STAMP.size :]


def fill_camera_info(
    message: CameraInfo, header: Header, source: FrameCamera, from_frame: np.ndarray, shape: tuple[int, int]
) -> None:
    """The camera behind a depth image: K and P through crop and scale, distortion and rectification as they were.

    Args:
        source: the frame's camera, which is known.
        from_frame: 3x3 map from frame pixels to depth pixels.
        shape: height and width of the depth image.
    """
    assert source.k is not None and source.p is not None, source.why
    message.header = header
    message.height, message.width = shape
    message.distortion_model, message.d, message.r = source.distortion_model, source.d, source.r
    message.k, message.p = camera_through(from_frame, source.k, source.p)
