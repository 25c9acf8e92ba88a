"""ROS messages: images and camera_info to frames and cameras, depth to the messages that are published."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from fastdepth_ros.depth.camera_info import FrameCamera, camera_info_fields, stamp_ns
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import Frame, FrameError, RawImage, SensorBits, UnknownEncodingError, decode_message
from fastdepth_ros.depth.options import DEPTH_ENCODINGS
from fastdepth_ros.node.parameters import Settings

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

try:  # a robot has it; it knows more encodings than we do
    from cv_bridge import CvBridge
except Exception:  # absent, or built for another numpy or OpenCV: it is optional, whatever it raises
    CvBridge = None


OVERRIDABLE = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
STAMP, STAMP_AT = struct.Struct("=iI"), 4  # behind the four bytes that say how a message is serialized
LENGTH = struct.Struct("=I")
LITTLE_ENDIAN = 1  # CDR's second byte
PLAIN = b"\0\1"  # first bytes of a message in CDR, little-endian
COUNT, TWO_COUNTS = struct.Struct("<I"), struct.Struct("<II")
Content = TypeVar("Content")


def frame_from_bytes(serialized: bytes, kind: type, sensor: SensorBits | None = None) -> Frame:
    """The frame of a serialized image message; packed 8-bit encodings are viewed in these bytes.

    Args:
        kind: Image or CompressedImage.
        sensor: bits of 16-bit samples, see `decode_message`.

    Raises:
        FrameError: the bytes hold no such message, or as of `decode_message`.
    """
    try:
        plain = kind is Image and serialized[:2] == PLAIN
        message: Any = read_image(serialized) if plain else deserialize_message(serialized, kind)
    except (struct.error, RuntimeError) as error:  # RuntimeError: of rclpy
        raise FrameError(f"{len(serialized)} bytes that hold no message: {error}") from error
    return frame_from_message(message, sensor)


def read_image(serialized: bytes) -> RawImage:
    """Fields of a sensor_msgs/Image in little-endian CDR. Its data is a view: rclpy would copy it twice.

    Raises:
        struct.error: the bytes hold no such message.
    """
    _, at = read_text(serialized, STAMP_AT + STAMP.size)
    height, width = TWO_COUNTS.unpack_from(serialized, _aligned(at))
    encoding, at = read_text(serialized, _aligned(at) + TWO_COUNTS.size)
    step, length = TWO_COUNTS.unpack_from(serialized, _aligned(at + 1))
    data = memoryview(serialized)[_aligned(at + 1) + TWO_COUNTS.size :][:length]
    if len(data) < length:
        raise struct.error(f"its data should have {length} bytes, there are {len(data)}")
    return RawImage(encoding, height, width, step, bool(serialized[at]), data)


def read_text(serialized: bytes, at: int) -> tuple[str, int]:
    """A string of little-endian CDR that begins at a byte, and where it ends.

    Raises:
        struct.error: the bytes end before it.
    """
    end = at + COUNT.size + COUNT.unpack_from(serialized, at)[0]
    if end > len(serialized):
        raise struct.error(f"a text should end at byte {end}")
    return serialized[at + COUNT.size : end].partition(b"\0")[0].decode(errors="replace"), end


def _aligned(at: int) -> int:
    """Place of the next number of four bytes, from a place on."""
    return at + -at % 4


def frame_from_message(message: Any, sensor: SensorBits | None = None) -> Frame:
    """The frame of an image message; packed 8-bit encodings are viewed in the message's own memory.

    cv_bridge, where it is installed, reads the encodings that `decode_message` does not know.

    Args:
        message: an Image, its RawImage, or a CompressedImage.
        sensor: bits of 16-bit samples, see `decode_message`.

    Raises:
        FrameError: as of `decode_message`.
    """
    try:
        return decode_message(message, sensor)
    except UnknownEncodingError:
        if CvBridge is None:
            raise
    try:
        return Frame(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except Exception as error:  # CvBridgeError, or AttributeError beside a numpy that does not fit it
        raise UnknownEncodingError(f"cv_bridge cannot read encoding {message.encoding!r}: {error}") from error


def _publisher(node: LifecycleNode, kind: type, topic: str) -> Any:
    """Publisher whose QoS is set by the parameters `qos_overrides.TOPIC.publisher.POLICY`.

    It has no events: each would lengthen every wait of the executor, and /diagnostics tells who does not fit.
    """
    # rclpy writes the overrides into the profile: it has to be a new one
    return node.create_lifecycle_publisher(
        kind, topic, QoSProfile(depth=10), qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
        event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
    )  # fmt: skip


class DepthPublishers:
    """Publishers of depth, its camera_info, its colors and its points, in the state of the lifecycle node.

    Args:
        encoding: encoding of the depth image, one of DEPTH_ENCODINGS.
        points: whether there is a publisher of the points.
    """

    def __init__(self, node: LifecycleNode, encoding: str, points: bool = False) -> None:
        self._node, self._encoding = node, encoding
        self.depth_topic = node.resolve_topic_name(f"depth/{DEPTH_ENCODINGS[encoding].topic}")
        self._depth = _publisher(node, Image, self.depth_topic)
        self._compressed = _publisher(node, CompressedImage, f"{self.depth_topic}/compressedDepth")
        self._info = _publisher(node, CameraInfo, "depth/camera_info")
        self._color = _publisher(node, Image, "depth/image_color")
        self._confidence = _publisher(node, Image, "depth/confidence")
        self._points = _publisher(node, PointCloud2, "depth/points") if points else None
        products = (self._depth, self._compressed, self._color, self._confidence, self._points)
        self._products = list(filter(None, products))  # wanted by their subscribers
        self._depth_bytes, self._info_bytes, self._color_bytes = ImageBytes(), CameraInfoBytes(), ImageBytes()
        self._confidence_bytes = ImageBytes()

    @property
    def topics(self) -> list[str]:
        """Topics of all publishers."""
        return [publisher.topic_name for publisher in (*self._products, self._info)]

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes what a frame gives; camera_info alone is no depth."""
        return any(publisher.get_subscription_count() for publisher in self._products)

    def publish(self, header: Header, result: DepthResult, camera: FrameCamera, settings: Settings) -> None:
        """Publish the messages of one frame: no camera_info for a camera with a fault, no points for an unknown one;
        compressed depth, colors and points for subscribers alone.

        Args:
            header: header of the frame.
            settings: settings of the colors and the points.
        """
        pixels = DEPTH_ENCODINGS[self._encoding].encode(result.depth)
        self._depth.publish(self._depth_bytes(header, pixels, self._encoding))
        if not camera.fault:
            self._info.publish(self._info_bytes(header, camera, result.from_frame, result.depth.shape))
        if self._compressed.get_subscription_count():
            from fastdepth_ros.depth.depth_image import compressed_depth  # most robots do not compress it

            data, kind = compressed_depth(pixels), f"{self._encoding}; compressedDepth png"
            self._compressed.publish(CompressedImage(header=header, format=kind, data=data))
        if self._color.get_subscription_count():
            from fastdepth_ros.pictures.color_map import color_depth  # nor color it

            colored = color_depth(result.depth, settings.color_near_m, settings.color_far_m)
            self._color.publish(self._color_bytes(header, colored, "bgr8"))
        if result.confidence is not None and self._confidence.get_subscription_count():
            self._confidence.publish(self._confidence_bytes(header, result.confidence, "32FC1"))
        if self._points is not None and self._points.get_subscription_count() and camera.matrix is not None:
            from fastdepth_ros.node.point_cloud import point_cloud  # nor make points

            self._points.publish(point_cloud(header, result, camera.matrix, settings))

    def close(self) -> None:
        for publisher in (*self._products, self._info):
            self._node.destroy_lifecycle_publisher(publisher)


class ImageBytes:
    """Serialized image messages: the pixels are copied once; of the rest only the stamp changes from frame to frame.

    rclpy publishes bytes as they are; a message it first converts to a C structure, then to those bytes.
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
    """Reader of serialized camera_info: it is deserialized only when more than the stamp has changed.

    Args:
        make: content of a message; messages that differ by the stamp alone share it.
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
                return stamp_ns(message), self._content
            self._known = known
        seconds, nanoseconds = STAMP.unpack_from(serialized, STAMP_AT)
        return seconds * 1_000_000_000 + nanoseconds, self._content


class CameraInfoBytes:
    """Serialized messages of the camera behind the depth images; serialized again when camera, frame or grid change."""

    def __init__(self) -> None:
        self._source: FrameCamera | None = None
        self._key: tuple[Any, ...] = ()
        self._bytes = b""

    def __call__(self, header: Header, source: FrameCamera, from_frame: np.ndarray, shape: tuple[int, int]) -> bytes:
        """The message as `Publisher.publish` takes it; other arguments as of `camera_info_fields`.

        A source that was given before is not read again.
        """
        key = (header.frame_id, shape, from_frame.tobytes())
        if source is not self._source or key != self._key:
            message = CameraInfo(header=header, **camera_info_fields(source, from_frame, shape))
            self._source, self._key, self._bytes = source, key, serialize_message(message)
        return b"".join(_stamped(self._bytes, header))


def _stamped(serialized: bytes, header: Header) -> tuple[bytes, bytes, bytes]:
    """A serialized message that begins with a header, its stamp replaced."""
    stamp = STAMP.pack(header.stamp.sec, header.stamp.nanosec)
    return serialized[:STAMP_AT], stamp, serialized[STAMP_AT + STAMP.size :]
