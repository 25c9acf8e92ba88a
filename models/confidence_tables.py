"""Tables of doc/confidence.md and doc/nav2.md: what the confidence sorts, and what each filter does to the points.

Usage: python models/confidence_tables.py MODEL [EVALUATION.json]

EVALUATION.json is what `fastdepth evaluate --json` printed. The points are of rendered rooms that no training has.
Prints Markdown.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.data.synthetic.dataset import HALF_KINECT
from fastdepth_ros.data.synthetic.distance import surface_distance_m
from fastdepth_ros.data.synthetic.rooms import random_scene
from fastdepth_ros.data.synthetic.scene import Scene
from fastdepth_ros.data.synthetic.sequence import SyntheticFrame, room_sequence
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.depth.options import PointsOptions
from fastdepth_ros.depth.points import filtered_points
from fastdepth_ros.metrics.points import covered_share

SEEDS, VIEWS = range(12), 3  # FIRST_SEED and on are trained on
NEAR_M, OFF_M = 3.0, 0.2
K = np.array([HALF_KINECT.fx, 0, HALF_KINECT.cx, 0, HALF_KINECT.fy, HALF_KINECT.cy, 0, 0, 1])
OFF = {"max_slant_deg": 90, "min_cluster": 0}
FILTERS: dict[str, dict[str, Any]] = {
    "all points": OFF,
    "`points_max_slant_deg: 80`": {**OFF, "max_slant_deg": 80},
    "`points_min_cluster: 20`": {**OFF, "min_cluster": 20},
    "both, the default": {},
    "both, `points_min_confidence: 0.5`": {"min_confidence": 0.5},
    "both, `points_min_confidence: 0.7`": {"min_confidence": 0.7},
}


def truth_points(frame: SyntheticFrame) -> np.ndarray:
    """True surface of the view that the network sees, within NEAR_M."""
    crop, depth = trained_view(*frame.depth.shape), np.zeros_like(frame.depth)
    area = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
    depth[area] = frame.depth[area]
    points = filtered_points(depth, K, PointsOptions(1, **OFF))[0, :, :3]
    return points[np.linalg.norm(points, axis=1) < NEAR_M]


@dataclass(frozen=True)
class Seen:
    """A frame's points on their grid (rows, columns, 4), which of them are off any surface, and the true surface."""

    result: DepthResult
    k: np.ndarray
    grid: np.ndarray
    off: np.ndarray
    truth: np.ndarray

    def kept(self, options: PointsOptions) -> np.ndarray:
        points = filtered_points(self.result.depth, self.k, replace(options, organized=True), self.result.confidence)
        return np.isfinite(points[..., 2])


def seen(frame: SyntheticFrame, scene: Scene, result: DepthResult) -> Seen:
    k = result.from_frame @ K.reshape(3, 3)
    grid = filtered_points(result.depth, k, PointsOptions(organized=True, **OFF), result.confidence)
    world = grid[..., :3].reshape(-1, 3) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
    off = (surface_distance_m(scene, world) > OFF_M).reshape(grid.shape[:2])
    return Seen(result, k, grid, off, truth_points(frame))


def point_figures(frames: list[Seen], options: PointsOptions) -> tuple[float, ...]:
    """Mean number of points; share of them over OFF_M off any surface, of all and of those within NEAR_M; share of the
    cells of the visible surface within NEAR_M that have a point near."""
    counts, off, off_near, covered = [], [], [], []
    for each in frames:
        kept = each.kept(options)
        points, far = each.grid[kept][:, :3], each.off[kept]
        counts.append(len(points))
        off.append(far)
        off_near.append(far[np.linalg.norm(points, axis=1) < NEAR_M])
        covered.append(covered_share(points, each.truth, within_m=OFF_M))
    return (
        float(np.mean(counts)),
        np.concatenate(off).mean(),
        np.concatenate(off_near).mean(),
        float(np.nanmean(covered)),
    )


def point_table(artifact: Artifact) -> None:
    estimator = artifact.estimator(artifact.load("onnxruntime", BackendOptions(threads=1)))
    frames = []
    for seed in tqdm(SEEDS, desc="rooms"):
        scene = random_scene(seed)
        for frame in room_sequence(VIEWS, seed=seed, camera=HALF_KINECT):
            frames.append(seen(frame, scene, estimator(Frame(frame.rgb), K)))
    print("| points | number | off, all | off, within 3 m | covered |\n|---|---|---|---|---|")
    for name, options in FILTERS.items():
        count, off, near, covered = point_figures(frames, PointsOptions(**options))
        print(f"| {name} | {count:.0f} | {100 * off:.1f} % | {100 * near:.1f} % | {100 * covered:.1f} % |", flush=True)


def confidence_tables(found: dict[str, Any]) -> None:
    """Tables of one evaluation."""
    print("| | Brier score | area of sparsification |\n|---|---|---|")
    rows = {"confidence": found, "table by depth": found["by_depth"], "constant": found["constant"]}
    for name, row in rows.items():
        print(f"| {name} | {row['brier']:.4f} | {row['area']:.4f} |")
    print(f"| oracle | | {found['area_oracle']:.4f} |\n\nexpected calibration error {found['ece']:.3f}\n")
    print("| most confident | delta1 | RMSE |\n|---|---|---|")
    for share, row in found["shares"].items():
        print(f"| {100 * float(share):.0f} % | {row['delta1']:.3f} | {row['rmse']:.3f} m |")
    print("\n| confidence | pixels | delta1 | difference |\n|---|---|---|---|")
    for row in found["tenths"]:
        difference = row["delta1"] - row["confidence"]
        print(f"| {row['confidence']:.3f} | {100 * row['share']:.1f} % | {row['delta1']:.3f} | {difference:+.3f} |")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        confidence_tables(json.loads(Path(sys.argv[2]).read_text())["confidence"])
        print()
    point_table(find_artifact(sys.argv[1]))
