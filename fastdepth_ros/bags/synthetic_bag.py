"""A bag of a synthetic room: what a camera that moves through it sees, with the true depth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fastdepth_ros.bags.camera import CAMERA_INFO_TYPE
from fastdepth_ros.bags.messages import camera_info_of, image_message
from fastdepth_ros.bags.reader import TYPES
from fastdepth_ros.bags.writer import new_bag
from fastdepth_ros.data.synthetic import KINECT, room_sequence
from fastdepth_ros.data.synthetic.sequence import SyntheticFrame

IMAGE_TOPIC = "/camera/image_raw"
CAMERA_INFO_TOPIC = "/camera/camera_info"
TRUTH_TOPIC = "/camera/depth/image_raw"
FRAME_ID = "camera_optical_frame"
START_NS = 1_000_000_000_000_000_000


def write_synthetic_bag(out: Path, *, frames: int, rate_hz: float, seed: int = 0) -> None:
    """Render a room sequence that closes on itself, as of `write_sequence_bag`."""
    write_sequence_bag(out, room_sequence(frames, seed=seed), frames, rate_hz)


def write_sequence_bag(out: Path, sequence: Iterable[SyntheticFrame], frames: int, rate_hz: float) -> None:
    """Write frames of `data.synthetic.KINECT` into a rosbag2 folder: rgb8, camera_info, and 16UC1 millimeters.

    Args:
        frames: number of them, for the progress bar.

    Raises:
        BagError: `out` exists.
    """
    with new_bag(out) as writer:
        image = writer.add_connection(IMAGE_TOPIC, "sensor_msgs/msg/Image", typestore=TYPES)
        info = writer.add_connection(CAMERA_INFO_TOPIC, CAMERA_INFO_TYPE, typestore=TYPES)
        truth = writer.add_connection(TRUTH_TOPIC, "sensor_msgs/msg/Image", typestore=TYPES)
        for index, frame in enumerate(tqdm(sequence, total=frames, desc="rendering a room", unit="frame")):
            stamp = START_NS + round(index / rate_hz * 1e9)
            millimeters = np.round(frame.depth * 1000).astype("<u2")
            messages = [
                (info, camera_info_of(stamp, FRAME_ID, KINECT)),
                (image, image_message(stamp, FRAME_ID, frame.rgb, "rgb8")),
                (truth, image_message(stamp, FRAME_ID, millimeters, "16UC1")),
            ]
            for connection, message in messages:
                writer.write(connection, stamp, TYPES.serialize_cdr(message, connection.msgtype))
