"""The way of a robot through a furnished room: there and back between what stands in it."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from fastdepth_ros.data.synthetic.distance import floor_plan
from fastdepth_ros.data.synthetic.scene import Scene

CELL_M = 0.1
HEIGHTS_M = (0.05, 1.6)  # what stands in the way
CLEARANCE_M = 0.35
HEIGHT_M, PITCH_RAD, SWEEP_RAD = 1.2, 0.2, 0.35  # of the camera: over the floor, below the horizon, to both sides
SMOOTHED = 11  # cells


def drive_poses(scene: Scene, frames: int) -> list[np.ndarray]:
    """Poses of a camera that drives from its place to the farthest that it can reach, turns, and comes back.

    Args:
        frames: number of poses, evenly in time.

    Returns:
        float64 4x4 each, from the camera (x right, y down, z forward) to the world.
    """
    stands, origin = floor_plan(scene, CELL_M, HEIGHTS_M)
    clear_m = cv2.distanceTransform((~stands).astype(np.uint8), cv2.DIST_L2, 5) * CELL_M
    start = np.array(scene.path.center_m[:2])
    way = origin + (_farthest_way(clear_m > CLEARANCE_M, clear_m, (start - origin) / CELL_M) + 0.5) * CELL_M
    padded = np.pad(way, ((SMOOTHED // 2, SMOOTHED // 2), (0, 0)), "edge")
    smooth = np.stack([np.convolve(padded[:, axis], np.ones(SMOOTHED) / SMOOTHED, "valid") for axis in (0, 1)], axis=1)
    ahead = smooth[np.minimum(np.arange(len(smooth)) + SMOOTHED, len(smooth) - 1)] - smooth
    headings = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
    headings[-SMOOTHED:] = headings[max(len(headings) - SMOOTHED - 1, 0)]
    turn = np.linspace(0, np.pi, len(smooth) // 2 + 2)[1:-1]
    places = np.concatenate([smooth, np.repeat(smooth[-1:], len(turn), 0), smooth[::-1]])
    headings = np.concatenate([headings, headings[-1] + turn, headings[::-1] + np.pi])
    times = np.linspace(0, len(places) - 1, frames)
    x, y, heading = (np.interp(times, np.arange(len(places)), values) for values in (*places.T, headings))
    heading += SWEEP_RAD * np.sin(np.linspace(0, 8 * np.pi, frames))
    return [_pose(*each) for each in zip(x, y, heading)]


def _farthest_way(free: np.ndarray, clear_m: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Cells (N, 2) from the free one that is nearest to the start, to the one that is the most steps away."""
    cells = np.argwhere(free if free.any() else clear_m == clear_m.max())
    first = tuple(cells[np.argmin(((cells + 0.5 - start) ** 2).sum(axis=1))].tolist())
    before: dict[tuple[int, int], tuple[int, int]] = {first: first}
    waiting, last = deque([first]), first
    while waiting:
        last = waiting.popleft()
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            cell = last[0] + step[0], last[1] + step[1]
            if cell not in before and free[cell]:
                before[cell] = last
                waiting.append(cell)
    way = [last]
    while way[-1] != first:
        way.append(before[way[-1]])
    return np.array(way[::-1], float)


def _pose(x: float, y: float, heading: float) -> np.ndarray:
    forward = np.array([np.cos(heading) * np.cos(PITCH_RAD), np.sin(heading) * np.cos(PITCH_RAD), -np.sin(PITCH_RAD)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, [x, y, HEIGHT_M]], axis=1)
    return pose
