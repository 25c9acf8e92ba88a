"""Random rooms and what is seen in them: depth is checked against geometry written down a second time, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from seen_points import seen_points

from fastdepth_ros.data.synthetic import KINECT, Camera, random_scene, room_sequence
from fastdepth_ros.data.synthetic.raycast import cast
from fastdepth_ros.data.synthetic.scene import Solid

SMALL = Camera(KINECT.fx / 5, KINECT.fy / 5, KINECT.cx / 5, KINECT.cy / 5, 128, 96)


def outside_m(solid: Solid, points: np.ndarray) -> np.ndarray:
    """About the meters by which points (..., 3) are outside a solid; negative inside, 0 on its surface."""
    cos, sin = np.cos(solid.yaw_rad), np.sin(solid.yaw_rad)
    x, y, z = np.moveaxis(points - solid.center_m, -1, 0)
    x, y = cos * x + sin * y, cos * y - sin * x
    cos, sin = np.cos(solid.tilt_rad), np.sin(solid.tilt_rad)
    y, z = cos * y + sin * z, cos * z - sin * y
    a, b, c = solid.half_m
    if solid.shape == "ellipsoid":
        # the function's value over its slope: exact to first order at the surface
        value = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 - 1
        return value / (2 * np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2 + (z / c**2) ** 2) + 1e-9)
    if solid.shape == "cylinder":
        return np.maximum(np.hypot(x, y) - a, np.abs(z) - c)
    return np.max([np.abs(x) - a, np.abs(y) - b, np.abs(z) - c], axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_each_ray_ends_on_a_surface_and_meets_nothing_before(seed):
    scene = random_scene(seed)
    for phase in (0.5, 3.5):
        pose = scene.path.pose(phase)
        depth, owner = cast(scene, SMALL, pose)
        points = seen_points(SMALL, depth.astype(np.float64), pose)
        assert np.all(owner >= 0)
        for index in np.unique(owner):
            assert np.abs(outside_m(scene.solids[index], points[owner == index])).max() < 1e-4, scene.solids[index]
        some = points.reshape(-1, 3)[::13]
        way = pose[:3, 3] + np.linspace(0, 0.998, 80)[:, None, None] * (some - pose[:3, 3])
        for solid in scene.solids[1:]:
            assert outside_m(solid, way).min() > -1e-3, solid


def test_points_of_the_floor_lie_at_floor_height():
    scene = random_scene(3)
    pose = scene.path.pose(1.0)
    depth, owner = cast(scene, KINECT, pose)
    points = seen_points(KINECT, depth.astype(np.float64), pose)[owner == 0]
    floor = points[points[:, 2] < 0.05, 2]
    assert floor.size > 5000
    assert np.abs(floor).max() < 1e-4


def test_a_sequence_is_the_same_for_the_same_seed_and_moves():
    first, second = (list(room_sequence(2, seed=10, camera=SMALL)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.pose, b.pose)
    frame = first[0]
    assert frame.rgb.shape == (96, 128, 3)
    assert frame.rgb.dtype == np.uint8
    assert frame.depth.shape == (96, 128)
    assert frame.depth.dtype == np.float32
    assert 50 < frame.rgb.mean() < 200
    assert frame.rgb.std() > 20
    assert np.abs(frame.depth - first[1].depth).mean() > 0.05
    # two frames agree about the room: most of what the first sees projects onto the depth of the second
    seen = seen_points(SMALL, frame.depth.astype(float), frame.pose).reshape(-1, 3) - first[1].pose[:3, 3]
    x, y, z = (seen @ first[1].pose[:3, :3]).T
    u, v = np.rint(SMALL.fx * x / z + SMALL.cx), np.rint(SMALL.fy * y / z + SMALL.cy)
    both = (z > 0.1) & (u >= 0) & (u < 128) & (v >= 0) & (v < 96)
    error_m = np.abs(first[1].depth[v[both].astype(int), u[both].astype(int)] - z[both])
    assert both.mean() > 0.3
    assert np.median(error_m) < 0.02


def test_zero_frames_are_refused_at_once():
    with pytest.raises(ValueError, match="0 frames"):
        room_sequence(0)


@pytest.mark.parametrize("seed", range(16))
def test_the_camera_keeps_upright_and_away_from_everything(seed):
    scene = random_scene(seed)
    poses = [scene.path.pose(2 * np.pi * i / 60) for i in range(61)]
    np.testing.assert_allclose(poses[0], poses[60], atol=1e-9)
    for before, pose in zip(poses, poses[1:], strict=False):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        assert pose[2, 1] < -0.9
        assert -0.4 < pose[2, 2] < 0
        assert 1.0 <= pose[2, 3] <= 1.6
        assert np.linalg.norm(pose[:3, 3] - before[:3, 3]) < 0.06
        assert np.trace(pose[:3, :3].T @ before[:3, :3]) > 1 + 2 * np.cos(0.1)
    places = np.array(poses)[:, :3, 3]
    for solid in scene.solids[1:]:
        assert outside_m(solid, places).min() > 0.15, solid
    assert outside_m(scene.solids[0], places).max() < -0.2


def test_depths_are_those_of_a_room():
    depths = [cast(s, SMALL, s.path.pose(1.0))[0] for s in map(random_scene, range(12))]
    assert min(d.min() for d in depths) > 0.3
    low, high = np.percentile(depths, [5, 95])
    assert 0.8 < low < 2.0
    assert 3.5 < high < 6.0
