"""Sensors of 10 and 12 bits in the low bits of mono16: found once for the bag, the same for every worker."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from recorded import IMAGE_TOPIC, frames
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from running import read_bag, run_bag

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.bags.inspect import inspect_bag
from fastdepth_ros.bags.request import Request
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.view.source import depth_frames, open_source

GRAY = cv2.cvtColor(frames()[0], cv2.COLOR_BGR2GRAY)


def write_mono16(path: Path, images: list[np.ndarray], recorded_ns: list[int] | None = None) -> Path:
    """A bag of uint16 images, ten a second."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    header, time = types.types["std_msgs/msg/Header"], types.types["builtin_interfaces/msg/Time"]
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(IMAGE_TOPIC, "sensor_msgs/msg/Image", typestore=types)
        for number, image in enumerate(images):
            stamp = number * 100_000_000
            message = types.types["sensor_msgs/msg/Image"](
                header(time(*divmod(stamp, 10**9)), "eye"), *image.shape, "mono16", 0, image.shape[1] * 2,
                image.reshape(-1).view(np.uint8),
            )  # fmt: skip
            data = types.serialize_cdr(message, "sensor_msgs/msg/Image")
            writer.write(connection, recorded_ns[number] if recorded_ns else stamp, data)
    return path


def depths(out: Path) -> list[np.ndarray]:
    return [message.data.view(np.float32).reshape(224, 224) for _, message in read_bag(out)["/depth/image"]]


def test_a_dark_frame_of_12_bits_is_dark_and_no_frame_is_black(tmp_path, artifact_folder, capsys):
    images = [GRAY.astype(np.uint16), GRAY.astype(np.uint16) << 4]  # the first alone would look like one of 8 bits
    assert run_bag(write_mono16(tmp_path / "in", images), tmp_path / "out", artifact_folder) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["bits"], summary["bits_risen"]) == (12, {})
    artifact = find_artifact(artifact_folder)
    estimator = DepthEstimator(artifact.load(), artifact.network)
    for depth, gray in zip(depths(tmp_path / "out"), (GRAY >> 4, GRAY), strict=True):
        np.testing.assert_array_equal(depth, estimator(Frame(gray, "mono")).depth)


def test_frames_of_a_single_color_are_told(tmp_path, artifact_folder, capsys):
    bag = write_mono16(tmp_path / "in", [np.zeros((120, 160), np.uint16), GRAY.astype(np.uint16) << 4])
    assert run_bag(bag, tmp_path / "out", artifact_folder) == 0
    assert json.loads(capsys.readouterr().out)["no_picture"] == 1
    artifact = find_artifact(artifact_folder)
    with open_source(str(bag)) as source:
        made = depth_frames(source, source.frames, artifact.estimator(artifact.load()), "trained", lambda frame: None)
        assert len(list(made)) == 2 and "1 frames of a single color, whose depth is meaningless" in source.notes()


def test_bits_may_be_told_and_a_number_that_is_none_is_refused(tmp_path, artifact_folder, capsys):
    bag = write_mono16(tmp_path / "in", [GRAY.astype(np.uint16) << 2] * 2)
    assert run_bag(bag, tmp_path / "found", artifact_folder) == 0
    assert json.loads(capsys.readouterr().out)["bits"] == 10
    assert run_bag(bag, tmp_path / "told", artifact_folder, "--bits", 12) == 0
    assert json.loads(capsys.readouterr().out)["bits"] == 12
    assert (depths(tmp_path / "found")[0] != depths(tmp_path / "told")[0]).any()
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--bits", 17) == 1
    assert "bits is 17" in capsys.readouterr().err


def test_a_frame_brighter_than_all_of_the_sample_is_told(tmp_path, artifact_folder, capsys):
    sampled = set(np.linspace(0, 39, 30).round().astype(int).tolist())
    bright = next(number for number in range(40) if number not in sampled)
    images = [np.full((64, 64), 4000 if number != bright else 10_000, np.uint16) for number in range(40)]
    assert run_bag(write_mono16(tmp_path / "in", images), tmp_path / "out", artifact_folder) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["bits"], summary["frames_out"]) == (12, 40)
    assert summary["bits_risen"] == {f"from 12 to 14 at {bright / 10:.3f} s": 1}


@pytest.mark.parametrize("recorded_ns", [None, [5] * 3], ids=["at their times", "all at one time"])
def test_the_sample_is_of_the_topic_and_stored_for_all_workers(tmp_path, recorded_ns):
    images = [np.full((64, 64), value, np.uint16) for value in (0, 1000, 3000)]
    bag = write_mono16(tmp_path / "in", images, recorded_ns)
    assert inspect_bag(bag, Request(None, IMAGE_TOPIC)).source.bits == 12
    assert inspect_bag(bag, Request(None, IMAGE_TOPIC, bits=10)).source.bits == 10
