"""The rooms that we draw: depth is checked against geometry written down a second time, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastdepth_ros.data.raycast import Camera, Light, Material, Renderer, Scene, Solid, cast, locate, surface
from fastdepth_ros.data.synthetic import KINECT, TEXTURES, paint, random_scene, room_sequence

SMALL = Camera(KINECT.fx / 5, KINECT.fy / 5, KINECT.cx / 5, KINECT.cy / 5, 128, 96)
GREY, RED = Material("plain", (0.6, 0.6, 0.6)), Material("plain", (0.9, 0.05, 0.05))
ROOM = Solid("box", (0.0, 0.0, 1.3), (2.5, 3.0, 1.3), (GREY,), inward=True)
LAMP = Light((0.0, 0.0, 2.3), (0.2, 0.0, 0.0), (0.0, 0.2, 0.0), (2.0, 2.0, 2.0))
LOOKING_ALONG_Y = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, -2.0], [0, -1.0, 0, 1.2], [0, 0, 0, 1.0]])


def seen_points(camera: Camera, depth: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """World points (H, W, 3) of a depth image, with K and the pose only."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(float)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    return (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]


def outside_m(solid: Solid, points: np.ndarray) -> np.ndarray:
    """About the metres by which points (..., 3) are outside a solid; negative inside, 0 on its surface."""
    cos, sin = np.cos(solid.yaw_rad), np.sin(solid.yaw_rad)
    x, y, z = np.moveaxis(points - solid.centre_m, -1, 0)
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
    own = (points - crate.centre_m) @ crate.rotation()
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


def test_colour_sits_where_the_depth_is():
    solids = [
        Solid(s, (x, 0.5, 1.0), (0.2, 0.2, 0.3), (RED,))
        for s, x in (("box", -0.6), ("cylinder", 0), ("ellipsoid", 0.6))
    ]
    scene = Scene((ROOM, *solids), (LAMP,))
    colour, depth = Renderer(scene, paint).render(SMALL, LOOKING_ALONG_Y)
    owner = cast(scene, SMALL, LOOKING_ALONG_Y)[1]
    red = colour[..., 0] > 2.5 * colour[..., 1]
    assert (owner > 0).sum() > 500
    assert np.mean(red == (owner > 0)) > 0.98  # outlines are softened
    assert depth.dtype == colour.dtype == np.float32


def test_it_is_darker_under_a_board_and_in_a_corner():
    board = Solid("box", (0.0, 1.0, 0.6), (1.0, 0.6, 0.02), (RED,))
    pose = LOOKING_ALONG_Y.copy()
    pose[1, 3] = -2.9
    bright = [Renderer(Scene(s, (LAMP,)), paint).render(KINECT, pose)[0].mean(axis=2) for s in ((ROOM, board), (ROOM,))]
    row, column = (
        int(KINECT.cy + KINECT.fy * 1.2 / 3.6),
        int(KINECT.cx),
    )  # the floor 0.7 m behind the board's front edge
    middle = bright[1][row, column]
    assert cast(Scene((ROOM, board), ()), KINECT, pose)[1][row, column] == 0
    assert bright[0][row, column] < 0.8 * middle
    low = int(KINECT.cy + KINECT.fy * 1.2 / 5.88)  # the floor at the foot of the far wall
    assert bright[1][low, column] < 0.93 * middle


@pytest.mark.parametrize("name", sorted(TEXTURES))
def test_a_tile_is_textured_and_the_same_for_the_same_seed(name):
    material = Material(name, (0.5, 0.4, 0.3), (0.2, 0.3, 0.6), seed=4)
    tile = paint(material)
    assert tile.shape == (512, 512, 3)
    assert tile.dtype == np.uint8
    assert tile.std(axis=(0, 1)).max() > 1
    np.testing.assert_array_equal(tile, paint(material))


def test_an_unknown_texture_names_the_known_ones():
    with pytest.raises(ValueError, match="'marble' is none of plain"):
        paint(Material("marble", (0.5, 0.5, 0.5)))


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
