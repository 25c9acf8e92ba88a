"""A bag as one records beside the node: the camera's images, depth, and /diagnostics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from recorded import IMAGE_TOPIC, INFO_TOPIC, frames
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fastdepth_ros.bags.messages import camera_info_message, camera_info_of, image_message
from fastdepth_ros.data.synthetic.scene import Camera
from fastdepth_ros.depth.camera_info import frame_camera
from fastdepth_ros.depth.geometry import trained_view

START_NS = 1_700_000_000_000_000_000
RATE_HZ = 10
CAMERA = Camera(width=160, height=120, fx=130.0, fy=131.0, cx=80.0, cy=60.0)
STAGES = {"decode": 0.2, "preprocess": 0.4, "infer": 4.5, "postprocess": 0.1, "publish": 0.3, "total": 5.5, "age": 9.0}


def depth_at(number: int) -> np.ndarray:
    """float32 56x56 meters: a wall that comes nearer from 4 m to 2 m in 30 images, the upper row unknown."""
    depth = np.full((56, 56), 4.0 - 2.0 * number / 30, np.float32)
    depth[28:] -= np.linspace(0, 1, 28, dtype=np.float32)[:, None]
    depth[0] = np.nan
    return depth


def write_recording(path: Path, images: int = 30, *, without_depth: tuple[int, ...] = (7, 8)) -> Path:
    """Images at 10 Hz, depth for all but `without_depth`, the node's diagnostics once a second."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    view = trained_view(120, 160)
    from_frame = view.onto_grid(56, 56)
    kinds = {
        IMAGE_TOPIC: "sensor_msgs/msg/Image", INFO_TOPIC: "sensor_msgs/msg/CameraInfo",
        "/depth/image": "sensor_msgs/msg/Image", "/depth/camera_info": "sensor_msgs/msg/CameraInfo",
        "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
    }  # fmt: skip
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        open_topics = {topic: writer.add_connection(topic, kind, typestore=types) for topic, kind in kinds.items()}

        def write(topic: str, stamp: int, message: Any) -> None:
            writer.write(open_topics[topic], stamp, types.serialize_cdr(message, kinds[topic]))

        for number in range(images):
            stamp = START_NS + number * 10**9 // RATE_HZ
            info = camera_info_of(stamp, "eye", CAMERA)
            camera = frame_camera(info, (120, 160))
            write(IMAGE_TOPIC, stamp, image_message(stamp, "eye", frames()[number % 4], "bgr8"))
            write(INFO_TOPIC, stamp, info)
            if number not in without_depth:
                write("/depth/image", stamp, image_message(stamp, "eye", depth_at(number), "32FC1"))
                write("/depth/camera_info", stamp, camera_info_message(stamp, "eye", camera, from_frame, (56, 56)))
            if number % RATE_HZ == 0:
                write("/diagnostics", stamp, _diagnostics(types, stamp, number, without_depth))
    return path


def _diagnostics(types: Any, stamp: int, number: int, without_depth: tuple[int, ...]) -> Any:
    header = types.types["std_msgs/msg/Header"](types.types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9)), "")
    pair, status = types.types["diagnostic_msgs/msg/KeyValue"], types.types["diagnostic_msgs/msg/DiagnosticStatus"]
    replaced = sum(place < number for place in without_depth)
    values = {"model": "tiny <&>", "backend": "onnxruntime", "replaced": replaced, "unreadable": 0, "failed": 0}
    for stage, base in STAGES.items():
        for factor, percentile in ((1.0, 50), (1.2, 95), (1.5, 99)):
            values[f"{stage} p{percentile} [ms]"] = f"{base * factor + number / 100:.3f}"
    pairs = [pair(key, str(value)) for key, value in values.items()]
    level, message = (1, "camera_info is <late>") if number == RATE_HZ else (0, "10.0 Hz in, 10.0 Hz out")
    return types.types["diagnostic_msgs/msg/DiagnosticArray"](
        header, [status(level, "fastdepth: depth", message, "", pairs), status(0, "other: thing", "", "", [])]
    )
