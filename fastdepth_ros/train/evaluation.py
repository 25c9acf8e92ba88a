"""Accuracy of a backend on a data set. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.datasets import FolderDataset, Pair
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.depth.preprocess import network_input
from fastdepth_ros.metrics.depth import depth_errors


def authors_protocol(pair: Pair, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Network input and truth as the authors make them: two resizes to the nearest pixel."""
    return authors_view(pair.rgb, size_px), authors_view(pair.depth, size_px)


def node_protocol(pair: Pair, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Network input as the node makes it, truth to the nearest pixel of the same view."""
    crop = trained_view(*pair.depth.shape)
    view = pair.depth[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    truth = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT)
    return network_input(Frame(pair.rgb), crop, size_px), truth


Protocol = Callable[[Pair, int], tuple[np.ndarray, np.ndarray]]
PROTOCOLS: dict[str, Protocol] = {"authors": authors_protocol, "node": node_protocol}


def evaluate(backend: Backend, dataset: FolderDataset, protocol: Protocol, size_px: int) -> Iterator[dict[str, float]]:
    """The errors of each image in turn."""
    for index in range(len(dataset)):
        rgb, truth = protocol(dataset[index], size_px)
        yield depth_errors(backend.infer(rgb), truth)
