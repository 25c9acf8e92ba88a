"""`fastdepth demo --navigate`: a camera drives through a synthetic room, and depth/points mark the obstacles."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rich.console import Console
from rich.progress import track
from sensor_msgs.msg import PointCloud2

from fastdepth_ros.bags.ground_truth import only_within
from fastdepth_ros.bags.reader import of_topic, open_bag, read_messages
from fastdepth_ros.bags.synthetic_bag import (
    CAMERA_INFO_TOPIC,
    IMAGE_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    write_sequence_bag,
)  # fmt: skip
from fastdepth_ros.data.synthetic.distance import floor_plan
from fastdepth_ros.data.synthetic.drive import drive_poses
from fastdepth_ros.data.synthetic.rooms import random_scene
from fastdepth_ros.data.synthetic.sequence import KINECT, frames_along
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.frame import decode_message
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.depth.options import PointsOptions
from fastdepth_ros.depth.points import filtered_points, points_of
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.processes import isolated_domain, node_module, run_module
from fastdepth_ros.metrics.points import wrong_cells
from fastdepth_ros.node.shutdown import lasting_executor
from fastdepth_ros.node.subscription import of_messages
from fastdepth_ros.pictures.image_files import as_bgr, write_picture
from fastdepth_ros.view.occupancy import CELL_M, HEIGHTS_M, OccupancyGrid, grid_picture
from fastdepth_ros.view.video import VideoWriter

FRAMES, RATE_HZ, PLAYED = 90, 5.0, 0.5  # half as fast, so that three nodes keep up on two cores
START_TIMEOUT_S, QUIET_S = 60.0, 5.0
OFF = {"points_max_slant_deg": 90.0, "points_min_cluster": 0, "points_min_confidence": 0.0}
K = np.array([KINECT.fx, 0, KINECT.cx, 0, KINECT.fy, KINECT.cy, 0, 0, 1])


def run_navigate(out: Path, seed: int, min_confidence: float, node_parameters: dict[str, str]) -> None:
    """Drive through the room of a seed with a node for each way of filtering; write `out`/navigate.png and .mp4.

    Raises:
        FastDepthError: no points came.
    """
    console, scene = Console(), random_scene(seed)
    poses = drive_poses(scene, FRAMES)
    bag = out / f"drive_bag_{seed}"
    if not bag.exists():
        write_sequence_bag(bag, frames_along(scene, poses), FRAMES, RATE_HZ)
    nodes = {"plain": OFF, "filtered": {}, "filtered and gated": {"points_min_confidence": min_confidence}}
    clouds = _clouds(out, bag, nodes, node_parameters, console)
    stamps = sorted(set.intersection(*(set(each) for each in clouds.values())))
    if not stamps:
        raise FastDepthError(f"no frame has the points of every node; their logs are in {out}")
    drive = Drive(seed, {START_NS + round(index / RATE_HZ * 1e9): pose for index, pose in enumerate(poses)})
    with VideoWriter(out / "navigate.mp4") as video, open_bag(bag) as reader:
        messages = [read_messages(reader, of_topic(reader, topic)) for topic in (IMAGE_TOPIC, TRUTH_TOPIC)]
        for (image, _), (truth, _) in track(zip(*messages), "grids", FRAMES, console=console):
            if (stamp := stamp_ns(image)) in stamps:
                drive.add(stamp, {name: clouds[name][stamp] for name in nodes}, meters_of(truth))
                picture = drive.picture(as_bgr(decode_message(image)), stamp)
                video.write(stamp, picture)
    write_picture(out / "navigate.png", picture)
    console.print(f"{len(stamps)} of {FRAMES} frames; cells of {CELL_M} m, obstacles {HEIGHTS_M} m over the floor")
    for name, figures in drive.figures().items():
        console.print(
            f"  {name:<18} {figures['marked']} cells marked, {figures['false']} of them false; "
            f"{figures['missed']} of {figures['visible']} visible cells missed"
        )
    console.print(f"written: {out / 'navigate.png'}, {out / 'navigate.mp4'}")


@dataclass
class Drive:
    """Grids of a drive through the room of a seed: one for each way of filtering, and one of the true depth.

    Args:
        poses: poses of the camera, by stamp.
    """

    seed: int
    poses: dict[int, np.ndarray]
    grids: dict[str, OccupancyGrid] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan, self.origin_m = floor_plan(random_scene(self.seed), CELL_M, HEIGHTS_M)
        self.perfect = OccupancyGrid(self.origin_m, self.plan.shape)

    def add(self, stamp: int, clouds: dict[str, np.ndarray], truth: np.ndarray) -> None:
        """Take a frame into account.

        Args:
            clouds: points (N, 4) by way of filtering.
            truth: true depth of the whole frame, meters.
        """
        for name, points in clouds.items():
            grid = self.grids.setdefault(name, OccupancyGrid(self.origin_m, self.plan.shape))
            grid.add(points[:, :3], self.poses[stamp])
        seen = only_within(truth, trained_view(*truth.shape))
        perfect = filtered_points(seen, K, PointsOptions(3, max_slant_deg=90, min_cluster=0))[0, :, :3]
        self.perfect.add(perfect, self.poses[stamp])

    @property
    def visible(self) -> np.ndarray:
        """True cells that a perfect camera has marked on the same way."""
        return self.plan & self.perfect.occupied

    def figures(self) -> dict[str, dict[str, int]]:
        """Number of cells marked, falsely marked, visible and missed, for each way of filtering."""
        found = {}
        for name, grid in self.grids.items():
            false, missed = wrong_cells(grid.occupied, self.plan, self.visible)
            cells = {"marked": grid.occupied, "false": false, "visible": self.visible, "missed": missed}
            found[name] = {kind: int(each.sum()) for kind, each in cells.items()}
        return found

    def picture(self, frame: np.ndarray, stamp: int) -> np.ndarray:
        """The frame and the grids side by side, uint8 BGR with even sides."""
        pose, visible = self.poses[stamp], self.visible
        tiles = [grid_picture("true, seen so far", visible, self.perfect.known, None, None, pose, self.origin_m)]
        for name, grid in self.grids.items():
            false, missed = wrong_cells(grid.occupied, self.plan, visible)
            tiles.append(grid_picture(name, grid.occupied, grid.known, false, missed, pose, self.origin_m))
        height = tiles[0].shape[0]
        small = cv2.resize(frame, (round(frame.shape[1] * height / frame.shape[0]), height))
        wide = np.hstack([small, *(np.pad(tile, ((0, 0), (6, 0), (0, 0)), constant_values=255) for tile in tiles)])
        return np.ascontiguousarray(wide[: wide.shape[0] // 2 * 2, : wide.shape[1] // 2 * 2])


class Clouds(Node):
    """Listener of the points of several nodes, by their namespace."""

    def __init__(self, namespaces: dict[str, str]) -> None:
        super().__init__("fastdepth_navigate")
        self.heard: dict[str, dict[int, np.ndarray]] = {name: {} for name in namespaces}
        self.last_s = time.monotonic()
        for name, namespace in namespaces.items():
            topic = f"/{namespace}/depth/points"
            add = of_messages(PointCloud2, partial(self._add, name))
            self.create_subscription(PointCloud2, topic, add, FRAMES, raw=True)

    def _add(self, name: str, message: PointCloud2) -> None:
        self.heard[name][stamp_ns(message)] = points_of(message)
        self.last_s = time.monotonic()


def _clouds(
    out: Path, bag: Path, nodes: dict[str, dict[str, Any]], node_parameters: dict[str, str], console: Console
) -> dict[str, dict[int, np.ndarray]]:
    """Points of each node by stamp: the bag is played into all of them, on its own time."""
    (out / "log").mkdir(parents=True, exist_ok=True)
    namespaces = {name: name.replace(" ", "_") for name in nodes}
    with isolated_domain(out / "log"), ExitStack() as running:
        for name, parameters in nodes.items():
            engine = {"backend": "onnxruntime", "threads": 1}  # the same figures anywhere, and no measurement
            given = {**engine, **node_parameters, "use_sim_time": True, "points": True, **parameters}
            names = {"__ns": f"/{namespaces[name]}", "image": IMAGE_TOPIC, "camera_info": CAMERA_INFO_TOPIC}
            module = node_module(names, given)
            running.enter_context(run_module(module, out / f"{namespaces[name]}.log"))
        rclpy.init()
        try:
            listener, executor = Clouds(namespaces), lasting_executor()
            executor.add_node(listener)
            _wait_for_nodes(listener, executor, namespaces)
            player = ["fastdepth_ros.ros_tools.bag_player", str(bag), "--clock", "--wait", "30", "--rate", str(PLAYED)]
            with run_module(player, out / "camera.log") as playing, console.status("driving"):
                _listen(listener, executor, playing)
        finally:
            rclpy.try_shutdown()
    return listener.heard


def _wait_for_nodes(listener: Clouds, executor: Any, namespaces: dict[str, str]) -> None:
    """Wait until each node publishes its points, and hears the camera."""
    deadline = time.monotonic() + START_TIMEOUT_S
    missing = set(namespaces.values())
    while missing and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
        missing = {each for each in missing if not listener.count_publishers(f"/{each}/depth/points")}
    if missing:
        raise FastDepthError(f"no points of {', '.join(sorted(missing))} after {START_TIMEOUT_S:g} s: see its log")


def _listen(listener: Clouds, executor: Any, playing: subprocess.Popen[bytes]) -> None:
    """Listen until the bag has been played and nothing more comes."""
    while playing.poll() is None or time.monotonic() - listener.last_s < QUIET_S:
        executor.spin_once(timeout_sec=0.1)
