"""The camera of a frame, of a camera_info."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastdepth_ros.depth.camera_info import (
    MISMATCH,
    MISSING,
    UNCALIBRATED,
    frame_camera,
    is_distorted,
    is_rectified,
)
from fastdepth_ros.depth.stated_camera import differing_focal, stated_camera

K = [500.0, 0, 320, 0, 501, 240, 0, 0, 1]
P = [450.0, 0, 321, -7, 0, 451, 241, 0, 0, 0, 1, 0]
R = [0.0, -1, 0, 1, 0, 0, 0, 0, 1]
SHAPE = (480, 640)
NO_K, NO_P = [0.0] * 9, [0.0] * 12
IDENTITY = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]  # drivers without a calibration also send it


def info(k=K, p=P, d=(), r=R, size=(640, 480), binning=(0, 0), roi=(0, 0, 0, 0)) -> SimpleNamespace:
    """Args: size is width and height, roi is x_offset, y_offset, width and height."""
    region = SimpleNamespace(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3])
    return SimpleNamespace(
        k=k, p=p, d=list(d), r=r, distortion_model="plumb_bob", width=size[0], height=size[1],
        binning_x=binning[0], binning_y=binning[1], roi=region,
    )  # fmt: skip


def test_k_is_of_the_image_as_it_comes_and_p_of_the_rectified_one():
    np.testing.assert_array_equal(frame_camera(info(), SHAPE).matrix, K)
    np.testing.assert_array_equal(
        frame_camera(info(), SHAPE, rectified=True).matrix, [450, 0, 321, 0, 451, 241, 0, 0, 1]
    )


def test_ros_1_writes_its_fields_in_capitals():
    old = SimpleNamespace(K=K, P=P, D=[0.1], R=R, distortion_model="plumb_bob", width=640, height=480)
    camera = frame_camera(old, SHAPE)
    np.testing.assert_array_equal(camera.matrix, K)
    assert is_distorted(old) and list(camera.d) == [0.1]


@pytest.mark.parametrize(
    ("changes", "shape", "k"),
    [
        ({"binning": (1, 1)}, (480, 640), K),
        ({"binning": (2, 2)}, (240, 320), [250, 0, 159.75, 0, 250.5, 119.75, 0, 0, 1]),
        ({"binning": (2, 0)}, (480, 320), [250, 0, 159.75, 0, 501, 240, 0, 0, 1]),
        ({"binning": (2, 2), "size": (641, 481)}, (240, 320), [250, 0, 159.75, 0, 250.5, 119.75, 0, 0, 1]),
        ({"binning": (2, 2), "size": (641, 481)}, (241, 321), [250, 0, 159.75, 0, 250.5, 119.75, 0, 0, 1]),
        ({"roi": (80, 60, 480, 360)}, (360, 480), [500, 0, 240, 0, 501, 180, 0, 0, 1]),
        (
            {"roi": (80, 60, 480, 360), "binning": (4, 2)}, (180, 120),
            [125, 0, 240.5 / 4 - 0.5, 0, 250.5, 180.5 / 2 - 0.5, 0, 0, 1],
        ),
        ({"roi": (0, 0, 640, 480)}, (480, 640), K),
        ({"binning": (2, 2)}, (480, 640), K),  # a driver whose camera_info is of the binned image
        ({"roi": (80, 60, 640, 480)}, (480, 640), K),  # and one whose camera_info is of the region
    ],
)  # fmt: skip
def test_k_and_p_of_the_whole_sensor_are_worked_through_region_and_binning(changes, shape, k):
    camera = frame_camera(info(p=[*K[:3], 0, *K[3:6], 0, *K[6:], 0], **changes), shape)
    assert camera.fault == camera.note == ""
    np.testing.assert_allclose(camera.matrix, k)
    np.testing.assert_allclose(camera.k, k)
    np.testing.assert_allclose(camera.p.reshape(3, 4)[:, :3].ravel(), k)


def test_a_stereo_baseline_is_binned_along():
    camera = frame_camera(info(binning=(2, 2)), (240, 320), rectified=True)
    assert (camera.matrix[0], camera.p[3]) == (225, -3.5)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, (240, 320)),
        ({"size": (0, 0)}, (480, 640)),
        ({"binning": (2, 2)}, (120, 160)),
        ({"roi": (80, 60, 480, 360)}, (240, 320)),
        ({"roi": (200, 60, 480, 360)}, (360, 480)),  # beyond the sensor
    ],
)
def test_a_camera_info_of_another_size_is_none_and_says_both(changes, shape):
    camera = frame_camera(info(**changes), shape)
    assert (camera.fault, camera.matrix, camera.k) == (MISMATCH, None, None)
    assert f"frames are {shape[1]}x{shape[0]}" in camera.why


BAD_K = [
    NO_K,
    [-1.0, *K[1:]],
    [float("nan"), *K[1:]],
    [*K[:4], float("inf"), *K[5:]],
    [*K[:8], 0.0],
    [1e300, *K[1:]],
    IDENTITY,
]
BAD_P = [NO_P, [float("nan")] * 12, [*P[:10], 0.0, 0.0], [-1.0, *P[1:]], [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]]


@pytest.mark.parametrize("k", BAD_K)
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("size", [(640, 480), (0, 0)])  # the second: camera_info_manager without a file
def test_a_camera_that_is_not_calibrated_has_no_matrix(k, rectified, size):
    camera = frame_camera(info(k=k, p=NO_P, size=size), SHAPE, rectified=rectified)
    assert (camera.fault, camera.matrix, camera.k, camera.p) == (UNCALIBRATED, None, None, None)
    assert "not calibrated: K has the focal lengths" in camera.why


@pytest.mark.parametrize("p", BAD_P)
@pytest.mark.parametrize(("rectified", "d"), [(False, ()), (False, [0.1]), (True, [0.0] * 5)])
def test_a_p_that_nobody_can_use_is_made_of_k(p, rectified, d):
    camera = frame_camera(info(p=p, d=d), SHAPE, rectified=rectified)
    np.testing.assert_array_equal(camera.p, [500, 0, 320, 0, 0, 501, 240, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(camera.matrix, K)
    np.testing.assert_array_equal(camera.r, np.eye(3).ravel())
    assert camera.fault == "" and "P is made of K" in camera.note


def test_k_is_not_p_where_rectifying_changes_the_image():
    camera = frame_camera(info(p=NO_P, d=[0.1]), SHAPE, rectified=True)
    assert (camera.fault, camera.p) == (UNCALIBRATED, None)
    np.testing.assert_array_equal(camera.matrix, K)  # near enough for the scale
    assert "no P for a rectified image" in camera.why


@pytest.mark.parametrize("k", BAD_K)
def test_an_unusable_k_is_made_of_p_where_nothing_distorts_the_image(k):
    for d, rectified in (((), False), ([0.1], True)):
        camera = frame_camera(info(k=k, d=d), SHAPE, rectified=rectified)
        np.testing.assert_array_equal(camera.k, [450, 0, 321, 0, 451, 241, 0, 0, 1])
        assert camera.fault == "" and "K is made of P" in camera.note
    assert frame_camera(info(k=k, d=[0.1]), SHAPE).fault == UNCALIBRATED


@pytest.mark.parametrize("r", [[0.0] * 9, [float("nan")] * 9])
def test_a_rotation_that_is_none_is_the_identity(r):
    np.testing.assert_array_equal(frame_camera(info(r=r), SHAPE).r, np.eye(3).ravel())


def test_no_camera_info_is_told_as_such():
    camera = frame_camera(None, SHAPE)
    assert (camera.fault, camera.matrix, camera.why) == (MISSING, None, "there is no camera_info")


@pytest.mark.parametrize(
    "topic",
    [
        "/camera/image_rect", "/image_rect_color", "/d435/color/image_rect_raw/compressed", "/rect/image",
        "/left/rect/image/compressed", "/image_rectified", "/raw/image_rect",
    ],
)  # fmt: skip
def test_a_rectified_image_is_known_by_its_name(topic):
    assert is_rectified(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "/camera/image_raw", "/image", "/image_unrectified", "/x/compressed", "/image_direct", "/direct/image",
        "/rect/image_raw", "/image_not_rectified", "/rectangle/image", "/unrect/image", "/rect/raw/image",
    ],
)  # fmt: skip
def test_any_other_is_taken_as_it_comes(topic):
    assert not is_rectified(topic)


def test_a_lens_distorts_if_any_coefficient_or_its_model_says_so():
    assert not is_distorted(info()) and not is_distorted(info(d=[0.0] * 5))
    assert is_distorted(info(d=[0, 0.1, 0, 0, 0]))
    fisheye = info(d=[0.0] * 4)
    fisheye.distortion_model = "equidistant"
    assert is_distorted(fisheye)


def test_a_stated_camera_has_the_focal_length_of_its_field_of_view():
    camera = stated_camera((480, 640), 90.0, 0.0)
    assert not camera.fault and "hfov_deg 90" in camera.note and not any(camera.d)
    np.testing.assert_allclose(camera.k, [320, 0, 319.5, 0, 320, 239.5, 0, 0, 1])
    np.testing.assert_allclose(camera.p.reshape(3, 4)[:, :3].ravel(), camera.k)
    assert stated_camera((480, 640), 90.0, 0.0) is camera  # what is made of a camera is kept by its identity


@pytest.mark.parametrize(("stated_px", "told"), [(100.0, False), (104.9, False), (105.1, True), (95.0, True)])
def test_focal_lengths_that_differ_by_over_five_percent_are_told(stated_px, told):
    heard, stated = (stated_camera((480, 640), 0.0, focal_px) for focal_px in (100.0, stated_px))
    assert bool(differing_focal(heard, stated)) is told
