"""Frames of a camera that moves through a random room: color with exact depth.

`rooms` makes the scene, `raycast` computes depth, `render` draws; this module adds the sensor's noise and blur.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.data.synthetic.materials import paint
from fastdepth_ros.data.synthetic.render import Renderer
from fastdepth_ros.data.synthetic.rooms import random_scene
from fastdepth_ros.data.synthetic.scene import Camera, Scene
from fastdepth_ros.errors import FastDepthError

KINECT = Camera(518.858, 519.470, 324.58, 252.74, 640, 480)

NOISE = 0.012  # standard deviation of the sensor's noise, in [0, 1]
BLUR_PX = 0.6  # standard deviation of the blur of the lens
VIGNETTE = 0.22  # share of the light that is lost in the corners


@dataclass(frozen=True)
class SyntheticFrame:
    """`rgb` uint8 HxWx3; `depth` float32 HxW meters along the optical axis (0: nothing hit), exact at pixel centers;
    `pose` float64 4x4 from the camera (x right, y down, z forward) to the world (z up, floor at 0)."""

    rgb: np.ndarray
    depth: np.ndarray
    pose: np.ndarray


def room_sequence(frames: int, *, seed: int = 0, camera: Camera = KINECT) -> Iterator[SyntheticFrame]:
    """Frames of one closed loop of a camera through a random room.

    Args:
        frames: number of frames on the loop, at least 1; the loop does not depend on it.
        seed: seed of the room and of the sensor's noise.
        camera: camera that takes the frames.

    Raises:
        FastDepthError: fewer than one frame.
    """
    if frames < 1:
        raise FastDepthError(f"a sequence of {frames} frames; ask for at least 1")
    scene = random_scene(seed)
    return frames_along(scene, [scene.path.pose(2 * np.pi * index / frames) for index in range(frames)], camera)


def frames_along(scene: Scene, poses: Sequence[np.ndarray], camera: Camera = KINECT) -> Iterator[SyntheticFrame]:
    """Frames of a camera at given poses, float64 4x4 from the camera to the world."""
    renderer = Renderer(scene, paint)
    vignette = _vignette(camera)
    for index, pose in enumerate(poses):
        color, depth = renderer.render(camera, pose)
        yield SyntheticFrame(sensed(color, vignette, np.random.default_rng([scene.seed, index])), depth, pose)


def _vignette(camera: Camera) -> np.ndarray:
    x, y = camera.rays()
    squared = x**2 + y[:, None] ** 2
    return (1 - VIGNETTE * squared / squared.max()).astype(np.float32)[..., None]


def sensed(color: np.ndarray, vignette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add blur, vignette and noise of a small camera; uint8 HxWx3."""
    color = cv2.GaussianBlur(color * vignette, (0, 0), BLUR_PX)
    color += np.float32(NOISE) * rng.standard_normal(color.shape, np.float32)
    return np.clip(color * 255 + 0.5, 0, 255).astype(np.uint8)
