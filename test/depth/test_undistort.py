"""Frames without lens distortion: as OpenCV undistorts them, with the camera that they then are of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fastdepth_ros.depth.camera_info import frame_camera
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.undistort import WIDEST_DEG, Undistorter

SHAPE = (240, 320)
K = np.array([200.0, 0, 161, 0, 201, 118, 0, 0, 1])
P = np.array([170.0, 0, 158, -17, 0, 170, 121, 0, 0, 0, 1, 0])
LENSES = {
    "plumb_bob": [-0.25, 0.08, 0.001, -0.002, -0.01],
    "rational_polynomial": [0.3, -0.1, 0.001, 0.0005, 0.02, 0.55, -0.05, 0.01],
    "equidistant": [-0.03, 0.01, -0.004, 0.001],
}


def info(model: str, d=None, p=P, k=K, r=None) -> SimpleNamespace:
    """camera_info of a lens."""
    d = LENSES[model] if d is None else d
    r = np.eye(3).ravel() if r is None else r
    return SimpleNamespace(height=SHAPE[0], width=SHAPE[1], distortion_model=model, k=k, d=d, r=r, p=p)


def picture() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(small, SHAPE[::-1], interpolation=cv2.INTER_CUBIC)


def undistorted(camera_info: SimpleNamespace, pixels: np.ndarray) -> tuple:
    undistort = Undistorter()
    frame, camera = undistort(Frame(pixels, "bgr"), frame_camera(camera_info, pixels.shape[:2]))
    return frame.pixels, camera, undistort.problem


@pytest.mark.parametrize("model", LENSES)
def test_a_frame_is_undistorted_as_opencv_does_with_the_left_part_of_p(model):
    pixels, camera, problem = undistorted(info(model), picture())
    k, d, new_k = K.reshape(3, 3), np.array(LENSES[model]), P.reshape(3, 4)[:, :3].copy()
    if model == "equidistant":
        expected = cv2.fisheye.undistortImage(picture(), k, d, Knew=new_k, new_size=SHAPE[::-1])
    else:
        expected = cv2.undistort(picture(), k, d, None, new_k)
    assert not problem and np.abs(pixels.astype(int) - expected).max() <= 1
    np.testing.assert_allclose(camera.k, new_k.ravel())
    np.testing.assert_allclose(camera.matrix, new_k.ravel())
    np.testing.assert_allclose(camera.p, P)
    np.testing.assert_allclose(camera.r, np.eye(3).ravel())
    assert list(camera.d) == [0] * 5 and camera.distortion_model == "plumb_bob"


def test_the_rotation_of_a_stereo_camera_is_applied():
    r, _ = cv2.Rodrigues(np.array([0.0, 0.05, 0.02]))
    pixels, camera, _ = undistorted(info("plumb_bob", r=r.ravel()), picture())
    size, new_k = SHAPE[::-1], P.reshape(3, 4)[:, :3].copy()
    maps = cv2.initUndistortRectifyMap(K.reshape(3, 3), np.array(LENSES["plumb_bob"]), r, new_k, size, cv2.CV_16SC2)
    np.testing.assert_array_equal(pixels, cv2.remap(picture(), *maps, cv2.INTER_LINEAR))
    np.testing.assert_allclose(camera.r, np.eye(3).ravel())


@pytest.mark.parametrize("model", LENSES)
def test_without_a_p_the_view_is_the_largest_without_black_border(model):
    white = np.full((*SHAPE, 3), 255, np.uint8)
    pixels, camera, problem = undistorted(info(model, p=np.zeros(12)), white)
    assert not problem and pixels.min() > 250
    np.testing.assert_allclose(camera.p.reshape(3, 4)[:, :3].ravel(), camera.k)
    if model != "equidistant":
        k, d = K.reshape(3, 3), np.array(LENSES[model])
        np.testing.assert_allclose(camera.k, cv2.getOptimalNewCameraMatrix(k, d, SHAPE[::-1], 0)[0].ravel())


@pytest.mark.parametrize("p", [np.zeros(12), np.array([20.0, 0, 160, -2, 0, 20, 120, 0, 0, 0, 1, 0])])
def test_what_is_beyond_120_degrees_is_cut_and_told(p):
    fisheye = np.array([100.0, 0, 160, 0, 100, 120, 0, 0, 1])  # 183 degrees from side to side
    pixels, camera, problem = undistorted(info("equidistant", [0.0, 0.0, 0.0, 0.0], p, fisheye), picture())
    k = camera.k.reshape(3, 3)
    sides = [(k[0, 2] + 0.5) / k[0, 0], (SHAPE[1] - 0.5 - k[0, 2]) / k[0, 0], (k[1, 2] + 0.5) / k[1, 1]]
    assert not problem and max(sides) == pytest.approx(np.tan(np.radians(WIDEST_DEG / 2)))
    assert "cut to 120" in camera.note and pixels.shape == (*SHAPE, 3)
    assert camera.p[3] / camera.p[0] == pytest.approx(p[3] / p[0] if p[0] else 0)  # the base line stays


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"distortion_model": "omnidirectional"}, "'omnidirectional' cannot be undistorted; plumb_bob"),
        ({"distortion_model": ""}, "'' cannot"),
        ({"d": [0.1, 0.2]}, "4 or 5 finite coefficients"),
        ({"d": [0.1, np.nan, 0, 0, 0]}, "finite"),
        ({"k": np.zeros(9), "p": np.zeros(12)}, "not calibrated"),
        ({"width": 99}, "99x240"),
    ],
)
def test_what_cannot_be_undistorted_stays_and_is_told(changes, told):
    pixels, camera, problem = undistorted(SimpleNamespace(**{**vars(info("plumb_bob")), **changes}), picture())
    assert told in problem
    np.testing.assert_array_equal(pixels, picture())


def test_maps_are_made_once_for_a_camera_and_its_problem_ends_with_it():
    undistort, frame = Undistorter(), Frame(picture(), "bgr")
    camera = frame_camera(info("plumb_bob"), SHAPE)
    _, first = undistort(frame, camera)
    _, again = undistort(frame, replace(camera, k=camera.k.copy()))
    assert first is again
    _, other = undistort(frame, frame_camera(info("plumb_bob", d=[0.1, 0, 0, 0]), SHAPE))
    assert other is not first
    undistort(frame, replace(camera, distortion_model="what"))
    assert undistort.problem
    straight = frame_camera(info("plumb_bob", d=[0.0] * 5), SHAPE)
    assert undistort(frame, straight) == (frame, straight) and not undistort.problem
