"""Tables of doc/scale.md: what the focal scale is worth through longer lenses, how the depth of still rooms flickers.

Usage: python models/scale_tables.py NYU_LABELED MODEL...

A longer lens is the middle of an image of the NYU test split. Prints Markdown; each MODEL, a folder or the name of a
bundled model, has its own columns or rows.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.artifact.artifact import Artifact, find_artifacts
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.data.datasets import Pair
from fastdepth_ros.data.nyu import open_nyu_labeled
from fastdepth_ros.data.synthetic.sequence import KINECT, room_sequence
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.metrics.depth import depth_errors, temporal_noise

IMAGES = 40  # of the test split, evenly spread
LENSES = ((1.0, "trained"), (1.0, "full"), (1.25, "trained"), (1.5, "trained"), (2.0, "trained"))
STRENGTHS = (0.0, 0.5, 0.8, 0.9)  # of the filter over time
ROOMS, STILL, SETTLED = 3, 30, 10  # rooms; frames of each that are seen before, and that count
NOISE = 4.0  # standard deviation, of 255
ONE_THREAD = BackendOptions(threads=1)
WALK = 60  # frames of a whole loop through a room
K = np.array([KINECT.fx, 0, KINECT.cx, 0, KINECT.fy, KINECT.cy, 0, 0, 1])


def through(pairs: list[Pair], zoom: float) -> Iterator[tuple[Frame, np.ndarray, np.ndarray]]:
    """Frame, K and truth, as a lens of `zoom` times the focal length sees the scenes."""
    for pair in pairs:
        height, width = (round(side / zoom) for side in pair.depth.shape)
        top, left = ((whole - side) // 2 for whole, side in zip(pair.depth.shape, (height, width)))
        view = slice(top, top + height), slice(left, left + width)
        k = K - np.array([0, 0, left, 0, 0, top, 0, 0, 0])
        yield Frame(np.ascontiguousarray(pair.rgb[view])), k, pair.depth[view]


def on_its_grid(truth: np.ndarray, result: DepthResult) -> np.ndarray:
    """The truth of a frame at the pixels of its depth, to the nearest one."""
    return cv2.warpAffine(truth, result.from_frame[:2], result.depth.shape[::-1], flags=cv2.INTER_NEAREST)


def lens_figures(artifact: Artifact, pairs: list[Pair], zoom: float, field: str, setting: str) -> tuple[float, ...]:
    """Median over images of truth / depth; delta1 and relative error, means over images."""
    options = EstimatorOptions(field_of_view=field, focal_scale=setting)
    estimator = DepthEstimator(artifact.load(options=ONE_THREAD), artifact.network, options)
    ratios, errors = [], []
    for frame, k, truth in through(pairs, zoom):
        result = estimator(frame, k)
        depth, seen = np.nan_to_num(result.depth), on_its_grid(truth, result)
        known = (seen > 0) & (depth > 0)
        ratios.append(np.median(seen[known] / depth[known]))
        errors.append(depth_errors(depth, seen))
    return float(np.median(ratios)), *(float(np.mean([each[name] for each in errors])) for name in ("delta1", "rel"))


def lens_table(artifacts: list[Artifact], root: Path) -> None:
    dataset = open_nyu_labeled(root, "test")
    pairs = [dataset[index] for index in np.linspace(0, len(dataset) - 1, IMAGES).astype(int)]
    print("| lens | " + " | ".join(f"{each.name}, `off` | `auto`" for each in artifacts) + " |")
    print("|---" * (1 + 2 * len(artifacts)) + "|")
    for zoom, field in LENSES:
        cells = [f"{zoom}" + (", `field_of_view: full`" if field == "full" else "")]
        for artifact in artifacts:
            for setting in ("off", "auto"):
                ratio, delta1, relative = lens_figures(artifact, pairs, zoom, field, setting)
                cells.append(f"{ratio:.2f}, {delta1:.2f}, {relative:.2f}")
        print("| " + " | ".join(cells) + " |", flush=True)


def noisy(rgb: np.ndarray, rng: np.random.Generator) -> Frame:
    return Frame(np.clip(rgb + NOISE * rng.standard_normal(rgb.shape), 0, 255).astype(np.uint8))


def flicker_row(artifact: Artifact, strength: float) -> str:
    """Still rooms; the change from frame to frame and the relative error of a walk through a room."""
    backend, rng = artifact.load(options=ONE_THREAD), np.random.default_rng(0)

    def results(frames: Iterable[Frame]) -> list[DepthResult]:
        options = EstimatorOptions(focal_scale="off", temporal_filter=strength)
        estimator = DepthEstimator(backend, artifact.network, options)
        return [estimator(frame) for frame in frames]

    still = []
    for seed in range(ROOMS):
        (room,) = room_sequence(1, seed=seed)
        seen = results(noisy(room.rgb, rng) for _ in range(SETTLED + STILL))
        still.append(temporal_noise(np.stack([each.depth for each in seen[SETTLED:]])))
    walk = list(room_sequence(WALK))
    moving = results(Frame(frame.rgb) for frame in walk)
    changes = [np.median(np.abs(after.depth / before.depth - 1)) for before, after in itertools.pairwise(moving)]
    errors = [depth_errors(each.depth, on_its_grid(frame.depth, each)) for frame, each in zip(walk, moving)]
    return (
        f"| {artifact.name} | {strength:g} | {1000 * np.mean([each['std_m'] for each in still]):.0f} mm, "
        f"{100 * np.mean([each['relative'] for each in still]):.1f} % | {100 * np.mean(changes):.1f} % | "
        f"{np.mean([each['rel'] for each in errors]):.3f} |"
    )


def main(root: Path, models: list[str]) -> None:
    artifacts = find_artifacts(models)
    lens_table(artifacts, root)
    print("\n| model | `temporal_filter` | still rooms | frame to frame, walk | relative error, walk |")
    print("|---" * 5 + "|")
    for artifact in artifacts:
        for strength in STRENGTHS:
            print(flicker_row(artifact, strength), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
