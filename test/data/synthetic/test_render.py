"""Pictures agree with the depth, and with what is known of light."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.data.synthetic import KINECT
from fastdepth_ros.data.synthetic.materials import paint
from fastdepth_ros.data.synthetic.raycast import cast
from fastdepth_ros.data.synthetic.render import Renderer
from fastdepth_ros.data.synthetic.scene import Camera, Light, Material, Scene, Solid

SMALL = Camera(KINECT.fx / 5, KINECT.fy / 5, KINECT.cx / 5, KINECT.cy / 5, 128, 96)
GRAY, RED = Material("plain", (0.6, 0.6, 0.6)), Material("plain", (0.9, 0.05, 0.05))
ROOM = Solid("box", (0.0, 0.0, 1.3), (2.5, 3.0, 1.3), (GRAY,), inward=True)
LAMP = Light((0.0, 0.0, 2.3), (0.2, 0.0, 0.0), (0.0, 0.2, 0.0), (2.0, 2.0, 2.0))
LOOKING_ALONG_Y = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, -2.0], [0, -1.0, 0, 1.2], [0, 0, 0, 1.0]])


def test_color_sits_where_the_depth_is():
    solids = [
        Solid(s, (x, 0.5, 1.0), (0.2, 0.2, 0.3), (RED,))
        for s, x in (("box", -0.6), ("cylinder", 0), ("ellipsoid", 0.6))
    ]
    scene = Scene((ROOM, *solids), (LAMP,))
    color, depth = Renderer(scene, paint).render(SMALL, LOOKING_ALONG_Y)
    owner = cast(scene, SMALL, LOOKING_ALONG_Y)[1]
    red = color[..., 0] > 2.5 * color[..., 1]
    assert (owner > 0).sum() > 500
    assert np.mean(red == (owner > 0)) > 0.98  # outlines are softened
    assert depth.dtype == color.dtype == np.float32


def test_it_is_darker_under_a_board_and_in_a_corner():
    board = Solid("box", (0.0, 1.0, 0.6), (1.0, 0.6, 0.02), (RED,))
    pose = LOOKING_ALONG_Y.copy()
    pose[1, 3] = -2.9
    bright = [Renderer(Scene(s, (LAMP,)), paint).render(KINECT, pose)[0].mean(axis=2) for s in ((ROOM, board), (ROOM,))]
    # the floor 0.7 m behind the board's front edge
    row, column = int(KINECT.cy + KINECT.fy * 1.2 / 3.6), int(KINECT.cx)
    middle = bright[1][row, column]
    assert cast(Scene((ROOM, board), ()), KINECT, pose)[1][row, column] == 0
    assert bright[0][row, column] < 0.8 * middle
    low = int(KINECT.cy + KINECT.fy * 1.2 / 5.88)  # the floor at the foot of the far wall
    assert bright[1][low, column] < 0.93 * middle
