"""The labeled NYU layout on disk: what it gives, and what is said when it is not there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdepth_ros.data.datasets import DATASETS, DatasetError, open_dataset, open_named

SPLITS = {1: "test", 2: "train", 17: "train", 1449: "test"}
SHAPE = (30, 40)
COLOR = (200, 100, 50)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pairs; the depth of pair n holds n % 256 everywhere but for its first row."""
    (tmp_path / "rgb").mkdir()
    (tmp_path / "depth").mkdir()
    for index in SPLITS:
        rgb = np.full((*SHAPE, 3), COLOR, np.uint8)
        cv2.imwrite(str(tmp_path / "rgb" / f"{index:04d}.jpg"), rgb[..., ::-1])
        depth = np.full(SHAPE, index % 256, np.uint8)
        depth[0, :3] = 0, 128, 255
        cv2.imwrite(str(tmp_path / "depth" / f"{index:04d}.png"), depth)
    rows = "".join(f"{index},{split}\n" for index, split in SPLITS.items())
    (tmp_path / "split.csv").write_text("index,split\n" + rows)
    return tmp_path


def test_a_split_has_its_pairs_in_order(root):
    assert open_dataset("nyu-labeled", root, "train").names == ("0002", "0017")
    assert open_dataset("nyu-labeled", root, "test").names == ("0001", "1449")
    assert len(open_dataset("nyu-labeled", root, "test")) == 2


def test_a_pair_is_rgb_and_meters(root):
    pair = open_dataset("nyu-labeled", root, "train")[1]
    assert pair.name == "0017"
    assert pair.rgb.shape == (*SHAPE, 3)
    assert pair.rgb.dtype == np.uint8
    assert np.abs(pair.rgb.astype(int) - COLOR).max() <= 3
    assert pair.depth.shape == SHAPE
    assert pair.depth.dtype == np.float32
    step_m = 9.99547 / 255
    np.testing.assert_allclose(pair.depth[0, :3], [0.5 * step_m, 128.5 * step_m, 255.5 * step_m], rtol=1e-6)
    np.testing.assert_allclose(pair.depth[1:], 17.5 * step_m, rtol=1e-6)


def test_it_can_be_iterated_and_ends(root):
    dataset = open_dataset("nyu-labeled", root, "test")
    assert [pair.name for pair in dataset] == ["0001", "1449"]
    with pytest.raises(IndexError):
        dataset[2]


def test_an_unknown_data_set_lists_the_known_ones(root):
    with pytest.raises(DatasetError, match=r"'kitti'.*nyu-labeled"):
        open_dataset("kitti", root, "test")
    assert "nyu-labeled" in DATASETS


def test_a_data_set_is_named_with_its_folder(root):
    assert open_named(f"nyu-labeled={root}", "train").names == ("0002", "0017")
    with pytest.raises(DatasetError, match="DATASET=FOLDER, not 'nyu-labeled'"):
        open_named("nyu-labeled", "train")


def test_an_unknown_split_lists_those_of_the_file(root):
    with pytest.raises(DatasetError, match=r"'validation'.*test, train"):
        open_dataset("nyu-labeled", root, "validation")


def test_a_folder_without_split_csv_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=r"split\.csv"):
            open_dataset("nyu-labeled", folder, "test")


@pytest.mark.parametrize("text", ["", "name,part\n1,test\n", "index,split\nfirst,test\n", "index,split\n1\n"])
def test_a_split_csv_with_other_content_is_refused(root, text):
    (root / "split.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"split\.csv"):
        open_dataset("nyu-labeled", root, "test")


@pytest.mark.parametrize("file", ["rgb/0002.jpg", "depth/0002.png"])
@pytest.mark.parametrize("fault", ["missing", "empty", "rubbish"])
def test_a_file_that_is_missing_or_no_image_is_named(root, file, fault):
    dataset = open_dataset("nyu-labeled", root, "train")
    if fault == "missing":
        (root / file).unlink()
    else:
        (root / file).write_bytes(b"" if fault == "empty" else b"not an image")
    with pytest.raises(DatasetError, match=file):
        dataset[0]


def test_color_and_depth_of_different_size_are_refused_with_both(root):
    cv2.imwrite(str(root / "depth" / "0002.png"), np.zeros((15, 20), np.uint8))
    with pytest.raises(DatasetError, match=r"0002.*\(30, 40\).*\(15, 20\)"):
        open_dataset("nyu-labeled", root, "train")[0]


@pytest.mark.shared
def test_the_labeled_pairs_are_the_official_split(shared):
    root = shared / "data" / "nyu_labeled"
    train, test = (open_dataset("nyu-labeled", root, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (795, 654)
    assert not set(train.names) & set(test.names)
    assert (test.names[0], test.names[-1]) == ("0001", "1449")
    pair = test[0]
    assert pair.rgb.shape == (480, 640, 3)
    assert pair.depth.shape == (480, 640)
    assert 0.5 < pair.depth.min() < pair.depth.max() < 10.03
