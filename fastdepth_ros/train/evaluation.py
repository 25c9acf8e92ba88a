"""Accuracy of a backend on a data set. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.camera import pair_focal_scale, pair_view
from fastdepth_ros.data.datasets import WHOLE, Dataset, Pair
from fastdepth_ros.depth.estimator import network_input
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import Focal
from fastdepth_ros.metrics.depth import depth_errors, mean_errors, median_scale, near_delta1, pooled_errors
from fastdepth_ros.pictures.panel import PanelRow


def authors_protocol(pair: Pair, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Network input and truth as the authors make them: two resizes to the nearest pixel, of a whole view one."""
    if pair.view == WHOLE:
        return _nearest(pair.rgb, size_px), _nearest(pair.depth, size_px)
    return authors_view(pair.rgb, size_px), authors_view(pair.depth, size_px)


def node_protocol(pair: Pair, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Network input as the node makes it, truth to the nearest pixel of the same view."""
    crop = pair_view(pair)
    view = pair.depth[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    return network_input(Frame(pair.rgb), crop, size_px), _nearest(view, size_px)


def _nearest(image: np.ndarray, size_px: int) -> np.ndarray:
    return cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT)


Protocol = Callable[[Pair, int], tuple[np.ndarray, np.ndarray]]
PROTOCOLS: dict[str, Protocol] = {"authors": authors_protocol, "node": node_protocol}


@dataclass(frozen=True)
class ImageErrors:
    """Errors of one image over its `pixels` with a truth.

    Args:
        focal_scale: factor on the network's depth for the image's camera.
        errors: errors of the depth with that factor.
        median_scaled: errors of the depth after its median is scaled to the truth's.
        near: delta1 of the `near_pixels` whose truth is under 1.5 m, None where there is none.
    """

    index: int
    name: str
    pixels: int
    focal_scale: float
    errors: dict[str, float]
    median_scaled: dict[str, float]
    near: float | None
    near_pixels: int


def evaluate(
    backend: Backend, dataset: Dataset, protocol: Protocol, size_px: int, trained: Focal | None
) -> Iterator[ImageErrors]:
    """The errors of each image in turn; one without a truth in the network's view is left out.

    Args:
        trained: focal lengths of the training camera at the network input; None is unknown, and the depth is not
            scaled.
    """
    for index in range(len(dataset)):
        pair = dataset[index]
        rgb, truth = protocol(pair, size_px)
        if not (truth > 0).any():
            continue
        scale = pair_focal_scale(pair, size_px, trained)
        depth = backend.infer(rgb) * np.float32(scale)
        aligned = depth_errors(depth * np.float32(median_scale(depth, truth)), truth)
        near, near_pixels = near_delta1(depth, truth)
        pixels, errors = int(np.count_nonzero(truth > 0)), depth_errors(depth, truth)
        yield ImageErrors(index, pair.name, pixels, scale, errors, aligned, near, near_pixels)


def mean_figures(rows: Sequence[ImageErrors]) -> dict[str, float]:
    """`mean_errors` of the images; `delta1_median_scaled` and `rmse_median_scaled`; `delta1_near`, the mean over the
    images that have a truth under 1.5 m, absent where none has.

    Raises:
        ValueError: no image.
    """
    figures = mean_errors(row.errors for row in rows)
    aligned = mean_errors(row.median_scaled for row in rows)
    figures |= {f"{name}_median_scaled": aligned[name] for name in ("delta1", "rmse")}
    near = [row.near for row in rows if row.near is not None]
    return figures | ({"delta1_near": float(np.mean(near))} if near else {})


def pooled_figures(rows: Sequence[ImageErrors]) -> dict[str, float]:
    """`pooled_errors` of the images, and `delta1_near` over all pixels whose truth is under 1.5 m, where there is one.

    Raises:
        ValueError: no image.
    """
    figures = pooled_errors([row.errors for row in rows], [row.pixels for row in rows])
    near = [(row.near, row.near_pixels) for row in rows if row.near is not None]
    if near:
        values, weights = zip(*near)
        figures["delta1_near"] = float(np.average(values, weights=weights))
    return figures


def comparison_row(
    backends: dict[str, Backend], pair: Pair, protocol: Protocol, size_px: int, caption: str = "", scale: float = 1.0
) -> PanelRow:
    """One image as in the paper's Fig. 4: frame, truth, the depth of each model, and the error of the last.

    Args:
        scale: factor on the depth of each.
    """
    rgb, truth = protocol(pair, size_px)
    maps = {name: backend.infer(rgb) * np.float32(scale) for name, backend in backends.items()}
    last = list(maps)[-1]
    error = np.where(truth > 0, maps[last] - truth, np.nan)
    frame = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return PanelRow(frame, {"truth": truth, **maps}, {f"error of {last}": error}, caption)
