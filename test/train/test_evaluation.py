"""Evaluation: what the network sees and what it is compared with, by the authors' protocol and by the node's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from networks import fastdepth

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions, Outputs
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.datasets import Pair
from fastdepth_ros.data.folder import FolderDataset
from fastdepth_ros.data.nyu import nyu_labeled_meters
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import TRAINED_FOCAL, trained_view
from fastdepth_ros.metrics.depth import depth_errors, median_scale
from fastdepth_ros.train.evaluation import PROTOCOLS, evaluate, mean_figures, pooled_figures

SIZE = 224
NETWORK = fastdepth(TRAINED_FOCAL)


@pytest.fixture
def dataset(tmp_path: Path) -> FolderDataset:
    rng = np.random.default_rng(0)
    for folder in ("rgb", "depth"):
        (tmp_path / folder).mkdir()
    for name in ("0001", "0002"):
        cv2.imwrite(str(tmp_path / "rgb" / f"{name}.jpg"), rng.integers(0, 256, (480, 640, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / "depth" / f"{name}.png"), rng.integers(40, 90, (480, 640), dtype=np.uint8))
    return FolderDataset(tmp_path, ("0001", "0002"), nyu_labeled_meters)


@pytest.fixture(scope="module")
def backend(artifact_folder):
    return find_artifact(artifact_folder).load("onnxruntime", BackendOptions(threads=1))


def test_there_are_the_two_protocols_of_the_issue():
    assert set(PROTOCOLS) == {"authors", "node"}


def test_the_authors_protocol_is_the_authors_view_of_both(dataset):
    pair = dataset[0]
    rgb, truth = PROTOCOLS["authors"](pair, NETWORK.input)
    np.testing.assert_array_equal(rgb, authors_view(pair.rgb, SIZE))
    np.testing.assert_array_equal(truth, authors_view(pair.depth, SIZE))


def test_the_node_protocol_shows_the_network_what_the_node_shows_it(dataset, backend):
    pair = dataset[0]
    rgb, _ = PROTOCOLS["node"](pair, NETWORK.input)
    by_the_node = DepthEstimator(backend, NETWORK)(Frame(pair.rgb)).depth
    np.testing.assert_array_equal(backend.infer(rgb).depth, np.nan_to_num(by_the_node, nan=0.0))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_node_protocols_truth_is_the_nearest_pixel_of_the_same_view(axis):
    """Depth holds its own row or column: the truth shows from where it was taken."""
    depth = np.indices((480, 640))[axis].astype(np.float32) + 1
    _, truth = PROTOCOLS["node"](Pair("ramp", np.zeros((480, 640, 3), np.uint8), depth), NETWORK.input)
    to_frame = np.linalg.inv(trained_view(480, 640).onto_grid(SIZE, SIZE))
    wanted = to_frame[1 - axis, 1 - axis] * np.indices((SIZE, SIZE))[axis] + to_frame[1 - axis, 2]
    off_px = truth - 1 - wanted
    assert np.abs(off_px).max() <= 0.501
    assert abs(off_px.mean()) < 0.05


@pytest.mark.parametrize("protocol", ["authors", "node"])
def test_the_errors_of_each_image_come_in_turn(dataset, backend, protocol):
    rows = list(evaluate(backend, dataset, PROTOCOLS[protocol], NETWORK))
    assert len(rows) == 2
    for index, row in enumerate(rows):
        rgb, truth = PROTOCOLS[protocol](dataset[index], NETWORK.input)
        assert row.errors == depth_errors(backend.infer(rgb).depth, truth)
        assert (row.index, row.name, row.pixels) == (index, dataset[index].name, np.count_nonzero(truth))
    assert rows[0] != rows[1]


def test_one_image_is_evaluated_as_in_the_whole(dataset, backend):
    (alone,) = evaluate(backend, replace(dataset, names=("0002",)), PROTOCOLS["authors"], NETWORK)
    assert alone.errors == list(evaluate(backend, dataset, PROTOCOLS["authors"], NETWORK))[1].errors


@dataclass
class Flat:
    """A backend that says 1 m everywhere."""

    def infer(self, rgb: np.ndarray) -> Outputs:
        return Outputs(np.ones(rgb.shape[:2], np.float32))


def pairs_of(*truths: float, k: Sequence[float] | None = None) -> list[Pair]:
    """Frames of 333x250 pixels whose truth is one number."""
    rgb = np.zeros((250, 333, 3), np.uint8)
    camera = None if k is None else np.array(k)
    return [Pair(str(truth), rgb, np.full((250, 333), truth, np.float32), camera) for truth in truths]


@pytest.mark.parametrize("protocol", ["authors", "node"])
def test_depth_is_scaled_by_the_focal_length_at_the_input_as_in_the_node(protocol):
    k = np.diag([2 * 198.9 * 304 / 64, 2 * 265.8 * 228 / 64, 1]).ravel()  # the view is 304x228, the input 64x64
    (row,) = evaluate(Flat(), pairs_of(2.0, k=k), PROTOCOLS[protocol], fastdepth(TRAINED_FOCAL, 64))
    assert row.focal_scale == pytest.approx(2)
    assert row.errors["rmse"] == pytest.approx(0, abs=1e-5)
    (row,) = evaluate(Flat(), pairs_of(2.0, k=k), PROTOCOLS[protocol], fastdepth(None, 64))
    assert (row.focal_scale, row.errors["rmse"]) == (1, 1)
    (row,) = evaluate(Flat(), pairs_of(2.0), PROTOCOLS[protocol], fastdepth(TRAINED_FOCAL, 64))
    assert (row.focal_scale, row.errors["rmse"]) == (1, 1)


def test_near_pixels_and_median_scaled_depth_are_told_beside_the_errors():
    rows = list(evaluate(Flat(), pairs_of(1.0, 1.4, 2.0, 0.0), PROTOCOLS["node"], fastdepth(None, 32)))
    assert [row.near for row in rows] == [1, 0, None]  # the last has no truth at all and is left out
    assert [row.median_scaled["rmse"] for row in rows] == pytest.approx([0, 0, 0], abs=1e-6)
    figures, pooled = mean_figures(rows), pooled_figures(rows)
    assert (figures["images"], figures["delta1"], figures["delta1_median_scaled"]) == (3, pytest.approx(1 / 3), 1)
    assert figures["delta1_near"] == pooled["delta1_near"] == 0.5
    assert "delta1_near" not in mean_figures(rows[2:]) | pooled_figures(rows[2:])


def test_near_pixels_are_pooled_by_their_number():
    (near, some) = pairs_of(1.0, 1.4)
    some.depth[:125] = 3
    rows = list(evaluate(Flat(), [near, some], PROTOCOLS["node"], fastdepth(None, 32)))
    assert mean_figures(rows)["delta1_near"] == 0.5
    assert pooled_figures(rows)["delta1_near"] == pytest.approx(2 / 3)


def test_a_median_of_nothing_scales_nothing():
    assert median_scale(np.zeros((2, 2)), np.ones((2, 2))) == 1
