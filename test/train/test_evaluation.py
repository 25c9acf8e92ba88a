"""Evaluation: what the network sees and what it is compared with, by the authors' protocol and by the node's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.datasets import FolderDataset, Pair, nyu_labeled_metres
from fastdepth_ros.depth.artifact import find_artifact
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.metrics.depth import depth_errors
from fastdepth_ros.train.evaluation import PROTOCOLS, evaluate

SIZE = 224


@pytest.fixture
def dataset(tmp_path: Path) -> FolderDataset:
    rng = np.random.default_rng(0)
    for folder in ("rgb", "depth"):
        (tmp_path / folder).mkdir()
    for name in ("0001", "0002"):
        cv2.imwrite(str(tmp_path / "rgb" / f"{name}.jpg"), rng.integers(0, 256, (480, 640, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / "depth" / f"{name}.png"), rng.integers(40, 90, (480, 640), dtype=np.uint8))
    return FolderDataset(tmp_path, ("0001", "0002"), nyu_labeled_metres)


@pytest.fixture(scope="module")
def backend(artifact_folder):
    return find_artifact(artifact_folder).load("onnxruntime", BackendOptions(threads=1))


def test_there_are_the_two_protocols_of_the_issue():
    assert set(PROTOCOLS) == {"authors", "node"}


def test_the_authors_protocol_is_the_authors_view_of_both(dataset):
    pair = dataset[0]
    rgb, truth = PROTOCOLS["authors"](pair, SIZE)
    np.testing.assert_array_equal(rgb, authors_view(pair.rgb, SIZE))
    np.testing.assert_array_equal(truth, authors_view(pair.depth, SIZE))


def test_the_node_protocol_shows_the_network_what_the_node_shows_it(dataset, backend):
    pair = dataset[0]
    rgb, _ = PROTOCOLS["node"](pair, SIZE)
    by_the_node = DepthEstimator(backend, SIZE)(Frame(pair.rgb)).depth
    np.testing.assert_array_equal(backend.infer(rgb), np.nan_to_num(by_the_node, nan=0.0))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_truth_of_the_node_protocol_is_the_nearest_pixel_of_the_same_view(axis):
    """Depth holds its own row or column: the truth shows from where it was taken."""
    depth = np.indices((480, 640))[axis].astype(np.float32) + 1
    _, truth = PROTOCOLS["node"](Pair("ramp", np.zeros((480, 640, 3), np.uint8), depth), SIZE)
    to_frame = np.linalg.inv(trained_view(480, 640).onto_grid(SIZE, SIZE))
    wanted = to_frame[1 - axis, 1 - axis] * np.indices((SIZE, SIZE))[axis] + to_frame[1 - axis, 2]
    off_px = truth - 1 - wanted
    assert np.abs(off_px).max() <= 0.501
    assert abs(off_px.mean()) < 0.05


@pytest.mark.parametrize("protocol", ["authors", "node"])
def test_the_errors_of_each_image_come_in_turn(dataset, backend, protocol):
    rows = list(evaluate(backend, dataset, PROTOCOLS[protocol], SIZE))
    assert len(rows) == 2
    for index, row in enumerate(rows):
        rgb, truth = PROTOCOLS[protocol](dataset[index], SIZE)
        assert row.errors == depth_errors(backend.infer(rgb), truth)
        assert (row.index, row.name, row.pixels) == (index, dataset[index].name, np.count_nonzero(truth))
    assert rows[0] != rows[1]


def test_one_image_is_evaluated_as_in_the_whole(dataset, backend):
    (alone,) = evaluate(backend, replace(dataset, names=("0002",)), PROTOCOLS["authors"], SIZE)
    assert alone.errors == list(evaluate(backend, dataset, PROTOCOLS["authors"], SIZE))[1].errors
