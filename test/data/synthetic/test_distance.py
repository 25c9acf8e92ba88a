"""Distances from surfaces, the floor plan, and the way of a robot through a room."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.data.synthetic.distance import floor_plan, surface_distance_m
from fastdepth_ros.data.synthetic.drive import CELL_M, HEIGHTS_M, drive_poses
from fastdepth_ros.data.synthetic.materials import WHITE
from fastdepth_ros.data.synthetic.raycast import cast
from fastdepth_ros.data.synthetic.rooms import random_scene
from fastdepth_ros.data.synthetic.scene import Camera, Material, Scene, ball, box, tube

CAMERA = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)
PLAIN = Material("plain", WHITE)


def scene(*solids) -> Scene:
    return Scene(tuple(solids), ())


@pytest.mark.parametrize("seed", [0, 3])
def test_what_a_camera_sees_lies_on_a_surface(seed):
    room = random_scene(seed)
    pose = room.path.pose(0.7)
    depth, _ = cast(room, CAMERA, pose)
    x, y = CAMERA.rays()
    points = np.stack([x * depth, y[:, None] * depth, depth], axis=-1).reshape(-1, 3)[depth.ravel() > 0]
    world = points @ pose[:3, :3].T + pose[:3, 3]
    assert surface_distance_m(room, world).max() < 0.01


def test_distances_of_a_box_a_tube_and_a_ball_are_those_of_geometry():
    points = np.array([[0.0, 0, 0.5], [3, 0, 0.5], [0, 0, 3], [0.9, 0.9, 0.5]])
    cube = surface_distance_m(scene(box(PLAIN, 0, 0, 0, 2, 2, 1)), points)
    np.testing.assert_allclose(cube, [0.5, 2, 2, 0.1], atol=1e-9)
    cylinder = surface_distance_m(scene(tube(PLAIN, 0, 0, 0, 1, 1)), points)
    np.testing.assert_allclose(cylinder, [0.5, 2, 2, np.hypot(0.9, 0.9) - 1], atol=1e-9)
    sphere = surface_distance_m(scene(ball(PLAIN, 0, 0, 0, 1, 1, 1)), points)
    np.testing.assert_allclose(sphere, np.abs(np.linalg.norm(points, axis=1) - 1), atol=1e-9)


def test_the_floor_plan_has_the_walls_and_what_stands_between_the_heights():
    room = random_scene(7)
    plan, origin = floor_plan(room, 0.1, (0.15, 1.6))
    low, high = room.solids[0].bounds()
    cells = np.argwhere(plan)
    places = origin + (cells + 0.5) * 0.1
    assert (places > low[:2] - 0.11).all() and (places < high[:2] + 0.11).all()
    walls = np.abs(np.abs(places) - high[:2]).min(axis=1) < 0.12
    assert 0.1 < walls.mean() < 0.9  # walls, and furniture
    higher, _ = floor_plan(room, 0.1, (2.0, 2.2))
    assert higher.sum() < plan.sum()


def test_a_drive_keeps_clear_of_what_stands_turns_and_comes_back():
    room = random_scene(7)
    poses = drive_poses(room, 40)
    plan, origin = floor_plan(room, CELL_M, HEIGHTS_M)
    places = np.array([pose[:2, 3] for pose in poses])
    cells = np.floor((places - origin) / CELL_M).astype(int)
    assert len(poses) == 40 and not plan[tuple(cells.T)].any()
    assert np.linalg.norm(places[0] - places[-1]) < 0.1 and np.ptp(places, axis=0).max() > 2
    for pose in poses:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1) and pose[2, 2] < 0 and pose[2, 1] < 0  # forward, down
