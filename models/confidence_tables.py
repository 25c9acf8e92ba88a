"""Tables of doc/confidence.md and doc/nav2.md: what the confidence sorts, and what each filter does to the points.

Usage: python models/confidence_tables.py MODEL NYU.json OTHER.json

The two files are what `fastdepth evaluate --json` printed of the model: for NYU's test split, and for another camera's
rooms. The points are of rendered rooms that no training has. Writes both pages.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
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
BEGIN, END = "<!-- confidence_tables.py writes this -->\n", "<!-- to here -->\n"
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
    depth[crop.slices] = frame.depth[crop.slices]
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


def point_table(artifact: Artifact) -> Iterator[str]:
    """Lines of the table of the filters."""
    estimator = artifact.estimator(artifact.load("onnxruntime", BackendOptions(threads=1)))
    frames = []
    for seed in tqdm(SEEDS, desc="rooms"):
        scene = random_scene(seed)
        for frame in room_sequence(VIEWS, seed=seed, camera=HALF_KINECT):
            frames.append(seen(frame, scene, estimator(Frame(frame.rgb), K)))
    yield from ("| points | number | off, all | off, within 3 m | covered |", "|---|---|---|---|---|")
    for name, options in FILTERS.items():
        count, off, near, covered = point_figures(frames, PointsOptions(**options))
        yield f"| {name} | {count:.0f} | {100 * off:.1f} % | {100 * near:.1f} % | {100 * covered:.1f} % |"


def score_tables(name: str, found: dict[str, Any]) -> Iterator[str]:
    """Lines of the tables of scores and of shares of one data set."""
    yield from (f"| {name} | Brier score | area of sparsification |", "|---|---|---|")
    for title, row in (("confidence", found), ("table by depth", found["by_depth"]), ("constant", found["constant"])):
        yield f"| {title} | {row['brier']:.4f} | {row['area']:.4f} |"
    yield from (f"| oracle | | {found['area_oracle']:.4f} |", "")
    yield from (f"| most confident of {name} | delta1 | RMSE |", "|---|---|---|")
    for share, row in found["shares"].items():
        yield f"| {100 * float(share):.0f} % | {row['delta1']:.3f} | {row['rmse']:.3f} m |"
    yield ""


def tenth_table(found: dict[str, Any]) -> Iterator[str]:
    """Lines of the table of the tenths of confidence."""
    yield from ("| confidence | pixels | delta1 | difference |", "|---|---|---|---|")
    for row in found["tenths"]:
        difference = row["delta1"] - row["confidence"]
        yield f"| {row['confidence']:.3f} | {100 * row['share']:.1f} % | {row['delta1']:.3f} | {difference:+.3f} |"
    yield from ("", f"Expected calibration error: {found['ece']:.3f}.")


def write(page: Path, lines: Iterable[str]) -> None:
    """Write lines between the marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + BEGIN + "".join(f"{line}\n" for line in lines) + END + rest.partition(END)[2])


def main(model: str, nyu: Path, other: Path) -> None:
    of_nyu, of_other = (json.loads(file.read_text())["confidence"] for file in (nyu, other))
    lines = [*score_tables("NYU, test split", of_nyu), *tenth_table(of_nyu), "", *score_tables(other.stem, of_other)]
    write(Path("doc", "confidence.md"), lines[:-1])
    write(Path("doc", "nav2.md"), point_table(find_artifact(model)))


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
