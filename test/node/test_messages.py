"""Serialized messages: what is put together from bytes reads as the message that it stands for."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fastdepth_ros.depth.camera_info import camera_info_fields, frame_camera
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.node.messages import (
    CameraInfoBytes,
    CameraInfoReader,
    ImageBytes,
    frame_from_bytes,
    frame_from_message,
    read_image,
)


def header(seconds: int, frame_id: str = "eye") -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = seconds, 5
    return made


@pytest.mark.parametrize("frame_id", ["", "a", "camera_optical_frame"])
@pytest.mark.parametrize(("shape", "dtype", "encoding"), [
    ((7, 5), np.float32, "32FC1"), ((4, 6), np.uint16, "16UC1"), ((3, 5, 3), np.uint8, "bgr8"),
])  # fmt: skip
def test_an_image_is_read_as_it_was_written(frame_id, shape, dtype, encoding):
    serialize, rng = ImageBytes(), np.random.default_rng(0)
    for seconds in (-1, 0, 2**31 - 1):
        pixels = rng.integers(0, 255, shape).astype(dtype)
        message = deserialize_message(serialize(header(seconds, frame_id), pixels, encoding), Image)
        assert message.header == header(seconds, frame_id)
        assert (message.height, message.width, message.encoding) == (*shape[:2], encoding)
        assert (message.step, message.is_bigendian) == (pixels.nbytes // shape[0], 0)
        np.testing.assert_array_equal(np.frombuffer(message.data, dtype).reshape(shape), pixels)


@pytest.mark.parametrize("encoding", ["", "8UC", "bgr8", "bayer_rggb8"])
@pytest.mark.parametrize("frame_id", ["", "eye", "eyes", "ünlich"])
def test_the_fields_of_serialized_bytes_are_those_that_rclpy_reads(encoding, frame_id):
    given = Image(header=header(7, frame_id), encoding=encoding, height=4, width=3, step=9, is_bigendian=1)
    given.data = bytes(range(36))
    found, told = read_image(serialize_message(given)), deserialize_message(serialize_message(given), Image)
    for name in ("encoding", "height", "width", "step", "is_bigendian"):
        assert getattr(found, name) == getattr(told, name), name
    assert bytes(found.data) == bytes(told.data)


def test_packed_pixels_are_viewed_in_the_serialized_bytes():
    serialized = serialize_message(Image(height=4, width=3, step=9, encoding="bgr8", data=bytes(range(36))))
    pixels = frame_from_bytes(serialized, Image).pixels
    assert np.shares_memory(pixels, np.frombuffer(serialized, np.uint8))
    assert pixels.ravel().tolist() == list(range(36))


def test_bytes_that_are_cut_or_damaged_are_refused_where_rclpy_refuses():
    whole = serialize_message(Image(header=header(1), height=1, width=1, step=3, encoding="bgr8", data=b"abc"))
    cut = [whole[:size] for size in range(4, len(whole))]
    flipped = [whole[:at] + bytes([value]) + whole[at + 1 :] for at in range(4, len(whole)) for value in (0, 5, 255)]
    for serialized in (*cut, *flipped):
        try:
            told = deserialize_message(serialized, Image)
        except RuntimeError:
            with pytest.raises(FrameError, match="hold no message"):
                frame_from_bytes(serialized, Image)
            continue
        found = read_image(serialized)
        assert (found.height, found.width, found.step, bytes(found.data)) == (
            told.height, told.width, told.step, bytes(told.data)
        )  # fmt: skip


def test_an_image_of_the_other_byte_order_is_left_to_rclpy():
    words = np.array([1, 2, 0, 1, 1, 0, 0], ">u4").tobytes()  # stamp, an empty frame_id, 1x1, no encoding
    with pytest.raises(FrameError):
        frame_from_bytes(b"\0\0\0\0" + words, Image)


def test_an_image_may_change_its_size_and_frame_from_one_to_the_next():
    serialize = ImageBytes()
    for number, frame_id in enumerate(("a", "a", "bcdef")):
        pixels = np.full((3 + number, 4), number, np.float32)
        message = deserialize_message(serialize(header(number, frame_id), pixels[:, ::-1], "32FC1"), Image)
        assert (message.height, message.header.frame_id, len(message.data)) == (3 + number, frame_id, pixels.nbytes)


def test_a_camera_info_follows_its_camera():
    serialize, from_frame = CameraInfoBytes(), np.diag([0.5, 0.25, 1.0])
    for number, focal in enumerate((500.0, 500.0, 600.0)):
        info = CameraInfo(height=480, width=640, distortion_model="plumb_bob", d=[0.1, 0.2])
        info.k = [focal, 0.0, 320.0, 0.0, focal, 240.0, 0.0, 0.0, 1.0]
        info.p = [focal, 0.0, 320.0, 0.0, 0.0, focal, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        source = frame_camera(info, (480, 640))
        expected = CameraInfo(header=header(number), **camera_info_fields(source, from_frame, (224, 224)))
        message = deserialize_message(serialize(header(number), source, from_frame, (224, 224)), CameraInfo)
        assert message == expected
        assert message.k[0] == focal / 2


def test_a_camera_info_is_read_again_only_when_more_than_its_stamp_changes():
    seen = []
    read = CameraInfoReader(lambda message: seen.append(message) or message.k[0])
    for number, focal in enumerate((500.0, 500.0, 600.0, 500.0)):
        message = CameraInfo(header=header(number), k=[focal] * 9)
        assert read(serialize_message(message)) == (number * 1_000_000_000 + 5, focal)
    assert len(seen) == 3


def test_a_camera_info_of_the_other_byte_order_keeps_its_stamp():
    message = CameraInfo()  # all zero but the stamp and the lengths: whole words
    message.header.stamp.sec, message.header.stamp.nanosec = 7, 8
    body = serialize_message(message)[4:]
    swapped = np.frombuffer(body + bytes(-len(body) % 4), np.uint32).byteswap().tobytes()
    big = b"\0\0\0\0" + swapped
    read = CameraInfoReader(lambda message: message.header.stamp)
    for _ in range(2):
        stamp, content = read(big)
        assert stamp == 7_000_000_008 == content.sec * 1_000_000_000 + content.nanosec


@pytest.mark.parametrize("error", ["SystemError('boost')", "AttributeError('_ARRAY_API not found')"])
def test_a_cv_bridge_that_cannot_be_imported_is_as_one_that_is_absent(tmp_path, error):
    (tmp_path / "cv_bridge.py").write_text(f"raise {error}\n")
    code = "import fastdepth_ros.node.messages as images; assert images.CvBridge is None"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path}, timeout=60)


def test_what_cv_bridge_raises_over_a_frame_is_the_frames_fault(monkeypatch):
    class Unfit:
        def imgmsg_to_cv2(self, message, encoding):
            raise AttributeError("newbyteorder")

    monkeypatch.setattr("fastdepth_ros.node.messages.CvBridge", Unfit)
    with pytest.raises(FrameError, match="newbyteorder"):
        frame_from_message(Image(height=64, width=64, step=64, encoding="yuv420", data=bytes(64 * 96)))
