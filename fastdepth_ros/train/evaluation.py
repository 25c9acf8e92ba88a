"""Accuracy of a backend on a data set. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from fastdepth_ros.backends import Backend, Outputs
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.camera import INTRINSICS
from fastdepth_ros.data.datasets import WHOLE, Dataset, DatasetError, Pair
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import Placement
from fastdepth_ros.depth.network import Network, NetworkInput
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.metrics.calibration import ConfidenceSamples
from fastdepth_ros.metrics.confidence import ConfidenceFigures
from fastdepth_ros.metrics.depth import depth_errors, mean_errors, median_scale, near_delta1, pooled_errors
from fastdepth_ros.pictures.panel import PanelRow

FURTHEST_M = 1000.0  # stands for infinity, with which no error can be computed


def authors_protocol(pair: Pair, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Network input and truth as the authors make them: two resizes to the nearest pixel, of a whole view one.

    Args:
        shape: height and width of the network input.
    """
    if pair.view == WHOLE:
        return _nearest(pair.rgb, shape), _nearest(pair.depth, shape)
    return authors_view(pair.rgb, shape), authors_view(pair.depth, shape)


def of_the_authors(pair: Pair, given: NetworkInput) -> tuple[np.ndarray, np.ndarray]:
    """`authors_protocol` for a network that sees the authors' view.

    Raises:
        FastDepthError: a network that sees another view, or keeps its aspect.
    """
    if (given.view, given.fit) != ("authors", "stretch"):
        raise FastDepthError(
            f"the authors' preprocessing is of their view, stretched; this network takes the {given.view}, {given.fit}",
            "take --preprocess node",
        )
    return authors_protocol(pair, given.shape)


def of_the_node(pair: Pair, given: NetworkInput) -> tuple[np.ndarray, np.ndarray]:
    """Network input as the node makes it, truth to the nearest pixel of the same view, 0 in a border."""
    placement = pair_placement(pair, given)
    crop, inner = placement.crop, placement.inner
    truth = np.zeros(given.shape, np.float32)
    truth[inner.slices] = _nearest(pair.depth[crop.slices], (inner.height, inner.width))
    return given.pixels(Frame(pair.rgb), placement), truth


def pair_placement(pair: Pair, given: NetworkInput) -> Placement:
    """Place of a pair in a network input."""
    return given.place("full" if pair.view == WHOLE else "trained", pair.depth.shape)


def _nearest(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


Protocol = Callable[[Pair, NetworkInput], tuple[np.ndarray, np.ndarray]]
PROTOCOLS: dict[str, Protocol] = {"authors": of_the_authors, "node": of_the_node}


def default_protocol(given: NetworkInput) -> str:
    """Name of the protocol for a network of which nothing else is said."""
    return "authors" if (given.view, given.fit) == ("authors", "stretch") else "node"


class Estimated(NamedTuple):
    """Depth of one pair beside its truth, on the network's grid.

    Args:
        depth: float32 meters, 0 where the network has no answer; `FURTHEST_M` where it says infinity.
        truth: float32 meters, 0 unknown.
        focal_scale: factor on the network's depth for the pair's camera.
        confidence: the network's, as it says it; None where it says none.
    """

    depth: np.ndarray
    truth: np.ndarray
    focal_scale: float
    confidence: np.ndarray | None


def estimated(
    backend: Backend, network: Network, pair: Pair, rgb: np.ndarray, truth: np.ndarray, camera: np.ndarray | None = None
) -> Estimated:
    """Depth of a pair's network input beside the truth.

    Args:
        rgb, truth: pictures as a protocol gives them.
        camera: camera matrix (9,) of the data set, for a pair without one and a network that needs it.

    Raises:
        DatasetError: the network needs the camera and none is known, or a focal scale that no lens has.
    """
    placement, rule = pair_placement(pair, network.input), network.focal_rule
    k = camera if pair.k is None and rule.name in ("canonical", "input") else pair.k
    if k is None and rule.name in ("canonical", "input"):
        raise DatasetError(f"{pair.name} has no camera, which focal rule {rule.name} needs", f"write its {INTRINSICS}")
    outputs = backend.infer(rgb, *network.camera(k, placement))
    measures = network.measure(outputs, placement, k, None, "")
    if k is not None and rule.focal is not None and measures.scale.missing:
        raise DatasetError(f"{pair.name}: {INTRINSICS}: {measures.scale.missing}")
    if truth.shape != outputs.depth.shape:
        truth = _nearest(truth, outputs.depth.shape)
    seen, _ = network.on_view(Outputs(truth, outputs.confidence), placement)
    depth = np.nan_to_num(measures.depth, nan=0.0, posinf=FURTHEST_M)
    return Estimated(depth, seen.depth, measures.scale.factor, seen.confidence)


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
    backend: Backend,
    dataset: Dataset,
    protocol: Protocol,
    network: Network,
    judged: ConfidenceFigures | None = None,
    samples: ConfidenceSamples | None = None,
) -> Iterator[ImageErrors]:
    """The errors of each image in turn, on the network's own grid; one without a truth there is left out.

    Args:
        judged: takes each image's calibrated confidence into account, where the network gives one.
        samples: takes each image's confidence into account as the network says it.

    Raises:
        DatasetError: as of `estimated`.
    """
    for index in range(len(dataset)):
        pair = dataset[index]
        rgb, truth = protocol(pair, network.input)
        if not (truth > 0).any():
            continue
        found = estimated(backend, network, pair, rgb, truth, getattr(dataset, "camera", None))
        depth, truth, scale, _ = found
        if samples is not None and found.confidence is not None:
            samples.add(depth, truth, found.confidence)
        confidence = network.probability(found.confidence)
        if judged is not None and confidence is not None:
            judged.add(depth, truth, confidence)
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
    models: Mapping[str, tuple[Backend, Network]], pair: Pair, protocol: Protocol, caption: str = "",
    camera: np.ndarray | None = None,
) -> PanelRow:  # fmt: skip
    """One image as in the paper's Fig. 4: frame, truth, the depth of each model, and the error of the last.

    Args:
        camera: argument as of `estimated`.
    """
    maps = {}
    for name, (backend, network) in models.items():
        rgb, truth = protocol(pair, network.input)
        maps[name] = last = estimated(backend, network, pair, rgb, truth, camera)
    error = np.where(last.truth > 0, last.depth - last.truth, np.nan)
    inner = pair_placement(pair, network.input).inner
    frame = cv2.cvtColor(rgb[inner.top :, inner.left :][: inner.height, : inner.width], cv2.COLOR_RGB2BGR)
    shown = {name: found.depth for name, found in maps.items()}
    return PanelRow(frame, {"truth": last.truth, **shown}, {f"error of {name}": error}, caption)
