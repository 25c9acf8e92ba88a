"""Accuracy of a backend on a data set. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.datasets import Dataset, Pair
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.depth.panel import PanelRow
from fastdepth_ros.depth.preprocess import network_input
from fastdepth_ros.metrics.depth import depth_errors


def authors_protocol(pair: Pair, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Network input and truth as the authors make them: two resizes to the nearest pixel."""
    return authors_view(pair.rgb, size_px), authors_view(pair.depth, size_px)


def node_protocol(pair: Pair, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Network input as the node makes it, truth to the nearest pixel of the same view."""
    height, width = pair.depth.shape
    crop = trained_view(height, width)
    view = pair.depth[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    truth = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT)
    return network_input(Frame(pair.rgb), crop, size_px), truth


Protocol = Callable[[Pair, int], tuple[np.ndarray, np.ndarray]]
PROTOCOLS: dict[str, Protocol] = {"authors": authors_protocol, "node": node_protocol}


@dataclass(frozen=True)
class ImageErrors:
    """Errors of one image over its `pixels` with a truth."""

    index: int
    name: str
    pixels: int
    errors: dict[str, float]


def evaluate(backend: Backend, dataset: Dataset, protocol: Protocol, size_px: int) -> Iterator[ImageErrors]:
    """The errors of each image in turn."""
    for index in range(len(dataset)):
        pair = dataset[index]
        rgb, truth = protocol(pair, size_px)
        errors = depth_errors(backend.infer(rgb), truth)
        yield ImageErrors(index, pair.name, int(np.count_nonzero(truth > 0)), errors)


def comparison_row(
    backends: dict[str, Backend], pair: Pair, protocol: Protocol, size_px: int, caption: str = ""
) -> PanelRow:
    """One image as in the paper's Fig. 4: frame, truth, the depth of each model, and the error of the last."""
    rgb, truth = protocol(pair, size_px)
    maps = {name: backend.infer(rgb) for name, backend in backends.items()}
    last = list(maps)[-1]
    error = np.where(truth > 0, maps[last] - truth, np.nan)
    frame = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return PanelRow(frame, {"truth": truth, **maps}, {f"error of {last}": error}, caption)
