"""Depth of a few solids in a bare room, checked against geometry that is written down a second time, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from seen_points import seen_points

from fastdepth_ros.data.synthetic import KINECT, random_scene
from fastdepth_ros.data.synthetic.raycast import cast, locate, surface
from fastdepth_ros.data.synthetic.scene import Camera, Material, Scene, Solid

SMALL = Camera(KINECT.fx / 5, KINECT.fy / 5, KINECT.cx / 5, KINECT.cy / 5, 128, 96)
GRAY, RED = Material("plain", (0.6, 0.6, 0.6)), Material("plain", (0.9, 0.05, 0.05))
ROOM = Solid("box", (0.0, 0.0, 1.3), (2.5, 3.0, 1.3), (GRAY,), inward=True)
LOOKING_ALONG_Y = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, -2.0], [0, -1.0, 0, 1.2], [0, 0, 0, 1.0]])


def test_depth_of_floor_and_wall_follows_from_the_camera_matrix():
    depth, _ = cast(Scene((ROOM,), ()), KINECT, LOOKING_ALONG_Y)
    rows = np.arange(480)
    on_floor = 1.2 * KINECT.fy / np.maximum(rows - KINECT.cy, 1e-9)
    on_ceiling = 1.4 * KINECT.fy / np.maximum(KINECT.cy - rows, 1e-9)
    expected = np.minimum(5.0, np.minimum(on_floor, on_ceiling))
    np.testing.assert_allclose(depth[:, 320], expected, atol=1e-5)


def test_a_box_shows_its_face_at_its_distance_in_the_pixels_that_it_covers():
    crate = Solid("box", (0.0, 0.5, 1.2), (0.4, 0.5, 0.3), (RED,))
    depth, owner = cast(Scene((ROOM, crate), ()), KINECT, LOOKING_ALONG_Y)
    v, u = np.mgrid[:480, :640]
    face = (np.abs(u - KINECT.cx) <= 0.4 * KINECT.fx / 2) & (np.abs(v - KINECT.cy) <= 0.3 * KINECT.fy / 2)
    np.testing.assert_array_equal(owner == 1, face)
    np.testing.assert_allclose(depth[face], 2.0, atol=1e-5)


def test_a_turned_and_tilted_box_shows_planes():
    crate = Solid("box", (0.1, 0.4, 1.1), (0.4, 0.3, 0.2), (RED,), yaw_rad=0.6, tilt_rad=-0.3)
    depth, owner = cast(Scene((ROOM, crate), ()), KINECT, LOOKING_ALONG_Y)
    points = seen_points(KINECT, depth.astype(np.float64), LOOKING_ALONG_Y)[owner == 1]
    own = (points - crate.center_m) @ crate.rotation()
    front = points[(own[:, 1] < -0.29) & (np.abs(own[:, 0]) < 0.38) & (np.abs(own[:, 2]) < 0.18)]
    assert front.shape[0] > 5000
    middle = front - front.mean(axis=0)
    assert np.abs(middle @ np.linalg.svd(middle, full_matrices=False)[2][2]).max() < 1e-4


@pytest.mark.parametrize("shape", ["ellipsoid", "cylinder"])
def test_a_round_solid_is_nearest_in_its_middle(shape):
    solid = Solid(shape, (0.0, 1.0, 1.2), (0.3, 0.3, 0.3), (RED,))
    camera = replace(KINECT, cx=320.0, cy=240.0)
    depth, owner = cast(Scene((ROOM, solid), ()), camera, LOOKING_ALONG_Y)
    assert depth[240, 320] == pytest.approx(3.0 - 0.3, abs=1e-5)
    # the outline of a circle of radius r at distance d is seen under asin(r / d)
    half_width_px = camera.fx * np.tan(np.arcsin(0.3 / 3.0))
    assert (owner[240] == 1).sum() == 2 * int(half_width_px) + 1


def test_half_the_resolution_sees_the_same_depth():
    scene = random_scene(1)
    pose = scene.path.pose(4.0)
    half = Camera(KINECT.fx / 2, KINECT.fy / 2, KINECT.cx / 2, KINECT.cy / 2, 320, 240)
    full_depth, full_owner = cast(scene, KINECT, pose)
    depth, owner = cast(scene, half, pose)
    same = owner == full_owner[::2, ::2]
    assert same.mean() > 0.9999  # but for a ray exactly along an edge
    np.testing.assert_allclose(depth[same], full_depth[::2, ::2][same], atol=1e-5)


def test_what_lies_behind_the_camera_is_not_seen():
    behind = Solid("box", (0.0, -2.5, 1.2), (0.2, 0.2, 0.2), (RED,))
    assert 1 not in cast(Scene((ROOM, behind), ()), SMALL, LOOKING_ALONG_Y)[1]


def test_a_solid_that_reaches_past_the_camera_is_seen_whole():
    rug = Solid("box", (0.0, 0.0, 0.01), (0.5, 2.9, 0.01), (RED,))
    depth, owner = cast(Scene((ROOM, rug), ()), KINECT, LOOKING_ALONG_Y)
    assert np.all(owner[400:, 320] == 1)
    np.testing.assert_allclose(depth[479, 320], 1.18 * KINECT.fy / (479 - KINECT.cy), atol=1e-5)


def test_nothing_hit_is_zero():
    crate = Solid("box", (0.0, 0.5, 1.2), (0.4, 0.5, 0.3), (RED,))
    depth, owner = cast(Scene((crate,), ()), SMALL, LOOKING_ALONG_Y)
    assert depth[0, 0] == 0
    assert owner[0, 0] == -1
    assert np.all(np.isfinite(depth))


@pytest.mark.parametrize(("shape", "faces"), [("box", 6), ("cylinder", 3), ("ellipsoid", 1)])
def test_locate_undoes_surface(shape, faces):
    u, v = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 50))
    for face in range(faces):
        if shape == "cylinder" and face:
            u, v = u * 0.7, v * 0.7  # stay on the round cap
        found, u_found, v_found = locate(shape, surface(shape, face, u, v)[0])
        assert np.all(found == face)
        np.testing.assert_allclose([u_found, v_found], [u, v], atol=1e-9)
