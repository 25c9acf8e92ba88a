"""Messages that no honest driver sends: sizes that do not fit, encodings that do not exist, damaged JPEG and PNG."""

from __future__ import annotations

import re
import struct
from array import array
from functools import cache
from random import Random

import cv2
import numpy as np
from networks import fastdepth
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fastdepth_ros.backends import Outputs
from fastdepth_ros.depth.camera_info import camera_info_fields, frame_camera
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import FrameError, encoding_names
from fastdepth_ros.depth.geometry import FIELDS_OF_VIEW, Focal
from fastdepth_ros.depth.options import OUTPUTS, EstimatorOptions
from fastdepth_ros.node.messages import frame_from_bytes

SIDES = [0, 1, 2, 3, 31, 32, 33, 48, 64, 65, 100, 1023, 32767, 32768, 65535, 65536, 1 << 20, 1 << 31, (1 << 32) - 1]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 1e-308, 1e308, float("inf"), -float("inf"), float("nan"), 500.0]
MOST_BYTES = 1 << 18


def hostile_image(random: Random) -> Image:
    """An Image whose fields nearly fit, or do not at all."""
    encoding = random.choice(encoding_names())
    height, width = (random.choice(SIDES) if random.random() < 0.3 else random.randrange(80) for _ in range(2))
    pixel_bytes = random.choice([1, 1, 2, 3, 4, 6, 8])
    step = min(width * pixel_bytes, (1 << 32) - 1)
    rows = random.choice([height, height, height * 3 // 2, height + 1, max(0, height - 1)])
    size = min(step * rows + random.choice([0, 0, 0, -1, 1, 100, -100]), MOST_BYTES)
    message = Image(height=height, width=width, step=step, encoding=encoding)
    message.data = array("B", random.randbytes(64) + bytes(max(0, size - 64)))
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        field = random.choice(["height", "width", "step", "encoding", "is_bigendian"])
        if field == "encoding":
            message.encoding = _hostile_text(random, encoding)
        elif field == "is_bigendian":
            message.is_bigendian = random.randrange(256)
        else:
            near = max(0, getattr(message, field) + random.randrange(-3, 4)) & 0xFFFFFFFF
            setattr(message, field, random.choice([near, random.choice(SIDES), random.getrandbits(32)]))
    return message


def hostile_compressed(random: Random) -> CompressedImage:
    """A CompressedImage: a good one, damaged."""
    message = CompressedImage(format=random.choice(["jpeg", "png", "bgr8; jpeg compressed bgr8", "", "16UC1; png"]))
    data = bytearray(random.choice(good_images()))
    for _ in range(random.choice([0, 1, 1, 2, 4, 16])):
        data = random.choice(DAMAGES)(random, data)
    if random.random() < 0.05:
        message.format = _hostile_text(random, message.format)
    message.data = array("B", bytes(data[:MOST_BYTES]))
    return message


def hostile_camera_info(random: Random) -> CameraInfo:
    message = CameraInfo(height=random.choice(SIDES), width=random.choice(SIDES))
    message.d = [random.choice(NUMBERS) for _ in range(random.choice([0, 4, 5, 8, 14, 1000]))]
    message.k, message.r = [random.choice(NUMBERS) for _ in range(9)], [random.choice(NUMBERS) for _ in range(9)]
    message.p = [random.choice(NUMBERS) for _ in range(12)]
    message.distortion_model = _hostile_text(random, "plumb_bob")
    message.binning_x, message.binning_y = random.getrandbits(32), random.choice(SIDES)
    message.roi.height, message.roi.width = random.choice(SIDES), random.getrandbits(32)
    return message


class Steps:
    """Path of a message through the node, with an engine whose depth is 2 m everywhere."""

    def __init__(self) -> None:
        focal = Focal(198.9, 265.8)
        self._estimators = [
            DepthEstimator(
                _Flat(),
                fastdepth(focal),
                EstimatorOptions(field_of_view=field, output_size=output, temporal_filter=steady),
            )
            for field in FIELDS_OF_VIEW
            for output in OUTPUTS
            for steady in (0.0, 0.5)
        ]

    def __call__(self, random: Random) -> str:
        """One hostile message, and where it gives depth, a hostile camera_info for it.

        Returns:
            What became of it: "depth", or the first words of the refusal.
        """
        message = hostile_image(random) if random.random() < 0.5 else hostile_compressed(random)
        estimator = random.choice(self._estimators)
        try:
            inferred = estimator.infer(frame_from_bytes(_hostile_bytes(random, message), type(message)))
        except FrameError as error:
            return re.sub(r"'.*?'|\d+|\(.*", "", str(error)).partition(":")[0].partition(",")[0][:60].strip()
        camera = hostile_camera_info(random)
        if random.random() < 0.5:
            camera.height, camera.width = inferred.placement.frame_shape
        found = frame_camera(camera, inferred.placement.frame_shape, rectified=random.random() < 0.5)
        result = estimator.measure(inferred, found.matrix, random.getrandbits(31), found.why)
        if not found.fault:
            fields = camera_info_fields(found, result.from_frame, result.depth.shape)
            info = CameraInfo(header=message.header, **fields)
            assert np.isfinite([*info.k, *info.p, *info.r]).all()
        assert result.depth.dtype == np.float32 and result.depth.size > 0
        return "depth"


def _hostile_bytes(random: Random, message: Image | CompressedImage) -> bytes:
    """The message serialized, and now and then damaged where its fields stand."""
    data = bytearray(serialize_message(message))
    return bytes(random.choice([_flip_early, _cut])(random, data) if random.random() < 0.1 else data)


class _Flat:
    channels = "rgb"

    def infer(self, rgb: np.ndarray) -> Outputs:
        assert rgb.shape == (224, 224, 3) and rgb.dtype == np.uint8
        return Outputs(np.full((224, 224), 2.0, np.float32))


@cache
def good_images() -> tuple[bytes, ...]:
    color = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
    kinds = [
        (".jpg", color, [cv2.IMWRITE_JPEG_QUALITY, 60]),
        (".jpg", color, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", color, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".jpg", color[..., 0], []),
        (".png", color, []),
        (".png", color.astype(np.uint16) * 257, []),
        (".png", np.dstack([color, color[..., :1]]), []),
        (".png", color[..., 0] // 128 * 255, [cv2.IMWRITE_PNG_BILEVEL, 1]),
        (".bmp", color, []),
        (".bmp", color[..., 0], []),
        (".webp", color, [cv2.IMWRITE_WEBP_QUALITY, 50]),
        (".webp", np.dstack([color, color[..., :1]]), [cv2.IMWRITE_WEBP_QUALITY, 101]),
    ]
    return tuple(cv2.imencode(suffix, pixels, options)[1].tobytes() for suffix, pixels, options in kinds)


def _hostile_text(random: Random, text: str) -> str:
    odd = ["", text.upper(), text + "\0", text * 50, text[:-1], "ü" * 9, "16UC1; compressedDepth png", "32FC1"]
    return random.choice(odd)


def _flip(random: Random, data: bytearray) -> bytearray:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return data


def _flip_early(random: Random, data: bytearray) -> bytearray:
    if data:
        data[random.randrange(min(len(data), 64))] = random.randrange(256)
    return data


def _cut(random: Random, data: bytearray) -> bytearray:
    return data[: random.randrange(len(data) + 1)]


def _drop(random: Random, data: bytearray) -> bytearray:
    start = random.randrange(len(data) + 1)
    del data[start : start + random.randrange(1, 33)]
    return data


def _insert(random: Random, data: bytearray) -> bytearray:
    start = random.randrange(len(data) + 1)
    data[start:start] = random.randbytes(random.randrange(1, 33))
    return data


def _repeat(random: Random, data: bytearray) -> bytearray:
    start = random.randrange(len(data) + 1)
    data[start:start] = data[start : start + random.randrange(1, 400)] * random.choice([1, 2, 30])
    return data


def _number(random: Random, data: bytearray) -> bytearray:
    """A size where one may stand, in either byte order."""
    if len(data) >= 68:
        kind, value = random.choice([(">I", random.choice(SIDES)), ("<I", random.choice(SIDES)), (">H", 0xFFFF)])
        struct.pack_into(kind, data, random.randrange(64), value)
    return data


def _join(random: Random, data: bytearray) -> bytearray:
    return data[: random.randrange(len(data) + 1)] + random.choice(good_images())[random.randrange(200) :]


IN_PLACE = [_flip, _flip, _flip_early, _number]
DAMAGES = [*IN_PLACE, _cut, _drop, _insert, _repeat, _join]
