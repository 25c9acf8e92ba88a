"""Bags of a lens that distorts: depth of undistorted frames, by the bag's camera_info or a calibration file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from recorded import IMAGE_TOPIC, K, frames, write_rosbag2
from rosbags.rosbag2 import StoragePlugin
from running import read_bag, run_bag

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.bags.camera import read_camera_file
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.view.source import open_source

D = [-0.3, 0.1, 0.001, 0.002, 0.0]
MATRIX = np.reshape(K, (3, 3))


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_rosbag2(tmp_path / "in", StoragePlugin.MCAP, distortion=D)


def expected() -> list[np.ndarray]:
    return [cv2.undistort(bgr, MATRIX, np.array(D), None, MATRIX) for bgr in frames()]


def test_the_depth_of_a_bag_is_that_of_its_undistorted_frames(bag, artifact_folder, tmp_path):
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--undistort") == 0
    artifact = find_artifact(artifact_folder)
    estimator = artifact.estimator(artifact.load())
    found = read_bag(tmp_path / "out")
    for (_, message), bgr in zip(found["/depth/image"], expected(), strict=True):
        depth = message.data.view(np.float32).reshape(message.height, message.width)
        np.testing.assert_allclose(depth, estimator(Frame(bgr, "bgr"), np.array(K)).depth, atol=1e-3)
    assert not any(any(info.d) for _, info in found["/depth/camera_info"])


def calibration(path: Path, **changes: object) -> Path:
    matrices = {
        "camera_matrix": K, "distortion_coefficients": D, "rectification_matrix": np.eye(3).ravel().tolist(),
        "projection_matrix": [130.0, 0, 80, 0, 0, 131, 60, 0, 0, 0, 1, 0],
    }  # fmt: skip
    content = {"image_width": 160, "image_height": 120, "camera_name": "eye", "distortion_model": "plumb_bob"}
    content |= {name: {"rows": 1, "cols": len(data), "data": list(data)} for name, data in matrices.items()}
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def test_a_source_gives_undistorted_frames_by_its_camera_info_or_by_a_file(bag, tmp_path):
    for given in ("", str(calibration(tmp_path / "camera.yaml"))):
        with open_source(str(bag), IMAGE_TOPIC, undistort=given) as source:
            taken = list(source.frames)
        for (_, frame, k), bgr in zip(taken, expected(), strict=True):
            assert np.abs(frame.pixels.astype(int) - bgr).max() <= 1
            np.testing.assert_allclose(k, K)
        assert not any("distort" in note for note in source.notes())


def test_a_video_needs_a_file_and_a_lens_that_can_be_undistorted(bag, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "room.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    writer.write(frames()[0])
    writer.release()
    with (
        pytest.raises(FastDepthError, match="no camera_info; give"),
        open_source(str(tmp_path / "room.mp4"), undistort=""),
    ):
        pass
    odd = calibration(tmp_path / "odd.yaml", distortion_model="what")
    refused = pytest.raises(FastDepthError, match="'what' cannot be undistorted")
    with open_source(str(tmp_path / "room.mp4"), undistort=str(odd)) as source, refused:
        next(source.frames)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "no calibration"),
        ("image_width: 5", "no calibration"),
        (None, "projection_matrix"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text, told):
    path = calibration(tmp_path / "camera.yaml", projection_matrix={"data": [1.0, 2.0]})
    if text is not None:
        path.write_text(text)
    with pytest.raises(FastDepthError, match=told):
        read_camera_file(path)
    with pytest.raises(FastDepthError, match=r"none\.yaml"):
        read_camera_file(tmp_path / "none.yaml")
