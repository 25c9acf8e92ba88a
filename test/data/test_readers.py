"""Each reader on files of its real format, and all of them on the same images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from fastdepth_ros.data.camera import of_training_camera, pair_focal_scale
from fastdepth_ros.data.datasets import DATASETS, DatasetError, Pair, Subset, open_dataset
from fastdepth_ros.depth.geometry import trained_view

HEIGHT, WIDTH = 48, 64
TRAIN, TEST = (2, 3, 5), (1, 4)  # numbers from 1, as in splits.mat


def images() -> list[tuple[np.ndarray, np.ndarray]]:
    """Five pairs: uint8 (48, 64, 3), and uint16 (48, 64) millimeters with some 0."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(5):
        millimeters = rng.integers(500, 10000, (HEIGHT, WIDTH), dtype=np.uint16)
        millimeters[:5, :7] = 0
        pairs.append((rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), millimeters))
    return pairs


def meters(millimeters: np.ndarray) -> np.ndarray:
    return millimeters.astype(np.float32) * np.float32(0.001)


def write_folder(root: Path) -> None:
    (root / "rgb").mkdir(parents=True)
    (root / "depth").mkdir()
    for number, (rgb, millimeters) in enumerate(images(), start=1):
        cv2.imwrite(str(root / "rgb" / f"view {number}.png"), rgb[..., ::-1])
        cv2.imwrite(str(root / "depth" / f"view {number}.png"), millimeters)
    parts = [f"view {number},{'train' if number in TRAIN else 'test'}\n" for number in range(1, 6)]
    (root / "split.csv").write_text("name,split\n" + "".join(parts))


def write_hdf5_tree(root: Path) -> None:
    """The authors' tree: scenes of files to train, one folder to validate, and things that are neither."""
    files = {"train/attic_0001/00001": 2, "train/attic_0001/00031": 3, "train/bath_0002/00201": 5}
    for name, number in {**files, "val/official/00001": 1, "val/official/00004": 4}.items():
        rgb, millimeters = images()[number - 1]
        path = root / f"{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["rgb"] = rgb.transpose(2, 0, 1)
            file["depth"] = meters(millimeters)
    (root / "train" / "README").write_text("no scene")
    (root / "train" / "attic_0001" / "intrinsics.txt").write_text("no pair")


def write_mat(root: Path) -> None:
    """File as MATLAB writes it: `images` HxWx3xN and `depths` HxWxN in its own order, the last axis first in HDF5."""
    root.mkdir(parents=True, exist_ok=True)
    in_matlab = {
        "images": np.stack([rgb for rgb, _ in images()], axis=3),
        "depths": np.stack([meters(millimeters) for _, millimeters in images()], axis=2),
        "rawDepths": np.zeros((HEIGHT, WIDTH, 5), np.float32),
    }
    path = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in in_matlab.items():
            stored = file.create_dataset(name, data=array.T, chunks=(1, *array.T.shape[1:]), compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_("uint8" if array.dtype == np.uint8 else "single")
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 ."
    with path.open("r+b") as file:
        file.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")
    splits = {"trainNdxs": np.array(TRAIN, float)[:, None], "testNdxs": np.array(TEST, float)[:, None]}
    savemat(root / "splits.mat", splits, format="5")


WRITERS: dict[str, Callable[[Path], None]] = {"folder": write_folder, "nyu-hdf5": write_hdf5_tree, "nyu-mat": write_mat}
SPLITS = {"folder": ("train", "test"), "nyu-hdf5": ("train", "val"), "nyu-mat": ("train", "test")}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path) -> tuple[str, Path]:
    """A data set of each kind: its name and its root."""
    WRITERS[request.param](tmp_path)
    return request.param, tmp_path


def rewrite(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def same(first: Pair, second: Pair) -> bool:
    return np.array_equal(first.rgb, second.rgb) and np.array_equal(first.depth, second.depth)


def test_every_reader_gives_the_images_that_were_written(written):
    name, root = written
    for split, numbers in zip(SPLITS[name], (TRAIN, TEST)):
        dataset = open_dataset(name, root, split)
        assert len(dataset) == len(numbers)
        for pair, number in zip(dataset, numbers):
            rgb, millimeters = images()[number - 1]
            np.testing.assert_array_equal(pair.rgb, rgb)
            np.testing.assert_array_equal(pair.depth, meters(millimeters))
            assert (pair.rgb.dtype, pair.depth.dtype) == (np.uint8, np.float32)
            assert pair.rgb.flags.c_contiguous and pair.depth.flags.c_contiguous


@pytest.mark.parametrize("name", ["nyu-hdf5", "nyu-mat"])
def test_they_give_the_same_tensors_as_the_folder(name, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    from fastdepth_ros.data.augment import augment
    from fastdepth_ros.data.loader import PairLoader

    batches = []
    for kind in (name, "folder"):
        WRITERS[kind](tmp_path / kind)
        loader = PairLoader(open_dataset(kind, tmp_path / kind, "train"), augment, 3, seed=1, size_px=64)
        batches.append(next(loader.epoch(0)))
    assert (batches[0][0] == batches[1][0]).all()
    assert (batches[0][1] == batches[1][1]).all()


def test_names_tell_pairs_apart_and_the_end_is_the_end(written):
    name, root = written
    dataset = open_dataset(name, root, "train")
    assert len({pair.name for pair in dataset}) == 3
    with pytest.raises(IndexError):
        dataset[3]


def test_an_unknown_split_lists_the_known_ones(written):
    name, root = written
    with pytest.raises(DatasetError, match=f"'evening'.*{SPLITS[name][1]}"):
        open_dataset(name, root, "evening")


def test_an_empty_folder_is_refused_with_what_it_lacks(tmp_path):
    for name, lacks in (
        ("folder", r"no color folder.* split\.csv"),
        ("nyu-hdf5", "train/"),
        ("nyu-mat", r"splits\.mat"),
    ):
        with pytest.raises(DatasetError, match=lacks):
            open_dataset(name, tmp_path, "train")


def test_an_unknown_data_set_lists_all(tmp_path):
    assert set(DATASETS) >= {"folder", "nyu-hdf5", "nyu-labeled", "nyu-mat"}
    with pytest.raises(DatasetError, match="folder, nyu-hdf5, nyu-labeled, nyu-mat"):
        open_dataset("kitti", tmp_path, "train")


def test_hdf5_names_are_scene_and_number_in_order(tmp_path):
    write_hdf5_tree(tmp_path)
    dataset = open_dataset("nyu-hdf5", tmp_path, "train")
    assert [pair.name for pair in dataset] == ["attic_0001/00001", "attic_0001/00031", "bath_0002/00201"]


def test_hdf5_holdout_is_what_the_authors_left_out_of_training(tmp_path):
    write_hdf5_tree(tmp_path)
    held_out, seen = (open_dataset("nyu-hdf5", tmp_path, split) for split in ("holdout", "train-seen"))
    assert [pair.name for pair in held_out] == ["attic_0001/00001", "bath_0002/00201"]
    assert [pair.name for pair in seen] == ["attic_0001/00031"]


def test_hdf5_files_are_listed_without_being_opened(tmp_path):
    for number in range(3000):
        path = tmp_path / "train" / f"scene_{number // 100:04d}" / f"{number % 100:05d}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert len(open_dataset("nyu-hdf5", tmp_path, "train")) == 3000


@pytest.mark.parametrize("arrays", [
    {"rgb": np.zeros((3, 4, 5), np.uint8)},
    {"rgb": np.zeros((4, 5, 3), np.uint8), "depth": np.zeros((4, 5), np.float32)},
    {"rgb": np.zeros((3, 4, 5), np.float32), "depth": np.zeros((4, 5), np.float32)},
    {"rgb": np.zeros((3, 4, 5), np.uint8), "depth": np.zeros((4, 6), np.float32)},
    {"rgb": np.zeros((3, 4, 5), np.uint8), "depth": np.zeros((4, 5), np.uint16)},
])  # fmt: skip
def test_an_hdf5_file_of_another_layout_is_refused_by_name(tmp_path, arrays):
    write_hdf5_tree(tmp_path)
    rewrite(tmp_path / "val" / "official" / "00004.h5", **arrays)
    with pytest.raises(DatasetError, match=r"official/00004\.h5"):
        open_dataset("nyu-hdf5", tmp_path, "val")[1]


def test_a_mat_file_of_another_layout_is_refused(tmp_path):
    write_mat(tmp_path)
    wrong = {"images": np.zeros((5, 48, 64, 3), np.uint8), "depths": np.zeros((5, 48, 64), np.float32)}
    rewrite(tmp_path / "nyu_depth_v2_labeled.mat", **wrong)
    with pytest.raises(DatasetError, match=r"\(5, 48, 64, 3\)"):
        open_dataset("nyu-mat", tmp_path, "train")


def test_a_split_beyond_the_mat_file_is_refused(tmp_path):
    write_mat(tmp_path)
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [6]], "testNdxs": [[0]]})
    for split, number in (("train", 6), ("test", 0)):
        with pytest.raises(DatasetError, match=f"image {number}.* has 5"):
            open_dataset("nyu-mat", tmp_path, split)


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100, None])
@pytest.mark.parametrize("file", ["splits.mat", "nyu_depth_v2_labeled.mat"])
def test_a_damaged_or_missing_mat_file_is_named(tmp_path, file, content):
    write_mat(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(DatasetError, match=file):
        open_dataset("nyu-mat", tmp_path, "train")


def test_a_folder_takes_jpeg_and_names_of_four_digits(tmp_path):
    write_folder(tmp_path)
    cv2.imwrite(str(tmp_path / "rgb" / "0012.jpg"), np.full((HEIGHT, WIDTH, 3), (10, 100, 200), np.uint8))
    (tmp_path / "depth" / "view 1.png").rename(tmp_path / "depth" / "0012.png")
    (tmp_path / "split.csv").write_text("index,split\n12,train\n")
    pair = open_dataset("folder", tmp_path, "train")[0]
    assert pair.name == "0012"
    assert np.abs(pair.rgb.astype(int) - (200, 100, 10)).max() <= 3


def test_a_folder_says_its_depth_scale(tmp_path):
    write_folder(tmp_path)
    before = open_dataset("folder", tmp_path, "test")[0].depth
    (tmp_path / "dataset.json").write_text('{"depth_scale_m": 0.0002, "depth_offset": -600}')
    after = open_dataset("folder", tmp_path, "test")[0].depth
    np.testing.assert_allclose(after, np.maximum(before - 0.6, 0) / 5, atol=1e-6)
    assert after.dtype == np.float32


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"view": "full"}',
        '{"scale": 1}',
        '{"depth_scale_m": 0}',
        '{"depth_scale_m": "mm"}',
        '{"depth_offset": NaN}',
    ],
)
def test_a_scale_that_is_none_is_refused(tmp_path, text):
    write_folder(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        open_dataset("folder", tmp_path, "train")


def write_frames(root: Path, color: str = "color", suffixes: tuple[str, ...] = (".jpg", ".png", ".JPG")) -> None:
    """Frames of a recording: names of stamps, no split.csv."""
    for folder in (color, "depth"):
        (root / folder).mkdir(parents=True)
    for number, suffix in enumerate(suffixes):
        rgb, millimeters = images()[number]
        cv2.imwrite(str(root / color / f"17.{number}{suffix}"), rgb[..., ::-1])
        cv2.imwrite(str(root / "depth" / f"17.{number}.png"), millimeters)


@pytest.mark.parametrize("color", ["rgb", "color"])
def test_a_recording_without_split_is_all_its_frames_for_every_split(tmp_path, color):
    write_frames(tmp_path, color)
    (tmp_path / color / "17.9.png").write_bytes(b"no depth of that")
    for split in ("train", "test"):
        dataset = open_dataset("folder", tmp_path, split)
        assert [pair.name for pair in dataset] == ["17.0", "17.1", "17.2"]
        assert [pair.k for pair in dataset] == [None] * 3
    np.testing.assert_array_equal(dataset[1].rgb, images()[1][0])
    np.testing.assert_array_equal(dataset[1].depth, meters(images()[1][1]))
    assert [len([note for note in dataset.notes if word in note]) for word in (
        "no split.csv: all 3 frames", "1 images have no counterpart", "no intrinsics.json", "",
    )] == [1, 1, 1, 3]  # fmt: skip


def test_a_folder_that_is_no_data_set_or_an_unfinished_one_is_refused(tmp_path):
    write_frames(tmp_path)
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset("folder", tmp_path, "train")
    (tmp_path / "job.json").unlink()
    (tmp_path / "rgb").mkdir()
    with pytest.raises(DatasetError, match="has rgb and color"):
        open_dataset("folder", tmp_path, "train")
    (tmp_path / "rgb").rmdir()
    for file in (tmp_path / "depth").iterdir():
        file.rename(file.with_name(f"depth-{file.name}"))
    with pytest.raises(DatasetError, match="of 3 images in color/ none has a depth/NAME"):
        open_dataset("folder", tmp_path, "train")


CAMERA = {"width": WIDTH, "height": HEIGHT, "fx": 60.0, "fy": 62.0, "cx": 31.0, "cy": 24.0}


def test_a_folder_tells_its_camera(tmp_path):
    write_frames(tmp_path)
    intrinsics = tmp_path / "intrinsics.json"
    intrinsics.write_text(json.dumps({**CAMERA, "camera": "some", "depth_unit": "millimetre"}))
    dataset = open_dataset("folder", tmp_path, "test")
    assert dataset[0].k.tolist() == [60, 0, 31, 0, 62, 24, 0, 0, 1]
    assert not any("intrinsics" in note for note in dataset.notes)
    intrinsics.write_text(json.dumps({"width": 2 * WIDTH, "height": 2 * HEIGHT, "fx": 120, "fy": 124}))
    k = open_dataset("folder", tmp_path, "test")[0].k  # the whole picture at half its size, its center in the middle
    assert k.tolist() == pytest.approx([60, 0, (WIDTH - 1) / 2, 0, 62, (HEIGHT - 1) / 2, 0, 0, 1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fx": 0}, "fx 0"), ({"fy": None}, "fx and fy"), ({"cx": "inf"}, "positive"),
        ({"depth_unit": "metre"}, "depth_scale_m"),
        ({"width": 2 * WIDTH}, "not the whole picture"), ({"fx": 1e9, "fy": 1e9}, "focal scale"),
    ],
)  # fmt: skip
def test_a_camera_that_is_none_is_refused(tmp_path, change, told):
    write_frames(tmp_path)
    (tmp_path / "intrinsics.json").write_text(json.dumps({**CAMERA, **change}))
    with pytest.raises(DatasetError, match=told):
        of_training_camera(open_dataset("folder", tmp_path, "test")[0])


def test_the_taught_depth_is_where_the_training_camera_sees_the_same(tmp_path):
    """Twice its focal lengths at the network input: at half of the depth."""
    write_frames(tmp_path)
    view = trained_view(HEIGHT, WIDTH)
    lens = {"fx": 2 * 198.9 * view.width / 224, "fy": 2 * 265.8 * view.height / 224}
    (tmp_path / "intrinsics.json").write_text(json.dumps({**CAMERA, **lens}))
    pair = open_dataset("folder", tmp_path, "train")[0]
    taught = of_training_camera(pair)
    np.testing.assert_allclose(taught.depth, pair.depth / 2, rtol=1e-6)
    assert taught.depth.dtype == np.float32
    assert of_training_camera(taught) is taught
    assert pair_focal_scale(taught) == 1


def test_a_folder_of_whole_views_is_trained_and_evaluated_as_a_whole(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    from fastdepth_ros.data.augment import augment
    from fastdepth_ros.data.authors import authors_train
    from fastdepth_ros.data.loader import PairLoader
    from fastdepth_ros.depth.network import NetworkInput
    from fastdepth_ros.train.evaluation import PROTOCOLS

    write_frames(tmp_path)
    (tmp_path / "dataset.json").write_text('{"view": "whole"}')
    dataset = open_dataset("folder", tmp_path, "train")
    assert {pair.view for pair in dataset} == {"whole"}
    for protocol in PROTOCOLS.values():
        rgb, truth = protocol(dataset[0], NetworkInput(64, 64))
        assert (rgb.shape, truth.shape) == ((64, 64, 3), (64, 64))
        assert (truth[0, 0], truth[-1, -1]) == (dataset[0].depth[0, 0], dataset[0].depth[-1, -1])
    seen = []

    def transform(rgb, depth, size_px, rng, *, whole=False):
        seen.append(whole)
        return augment(rgb, depth, size_px, rng, whole=whole)

    next(PairLoader(dataset, transform, 3, seed=1, size_px=64).epoch(0))
    assert seen == [True] * 3
    with pytest.raises(ValueError, match="warp, steady or mixed"):
        next(PairLoader(dataset, authors_train, 3, seed=1, size_px=64).epoch(0))


def test_training_batches_are_of_the_training_camera(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    from fastdepth_ros.data.augment import augment
    from fastdepth_ros.data.loader import PairLoader

    write_frames(tmp_path)
    depths = []
    for change in (1, 2):
        camera = {**CAMERA, "fx": change * CAMERA["fx"], "fy": change * CAMERA["fy"]}
        (tmp_path / "intrinsics.json").write_text(json.dumps(camera))
        loader = PairLoader(open_dataset("folder", tmp_path, "train"), augment, 3, seed=1, size_px=64)
        depths.append(next(loader.epoch(0))[1].numpy())
    np.testing.assert_allclose(depths[1], depths[0] / 2, rtol=1e-5)


def test_depth_with_colors_is_refused(tmp_path):
    write_folder(tmp_path)
    cv2.imwrite(str(tmp_path / "depth" / "view 1.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"view 1\.png has 3 channels"):
        open_dataset("folder", tmp_path, "test")[0]


def test_a_subset_has_the_chosen_pairs(written):
    name, root = written
    dataset = open_dataset(name, root, "train")
    subset = Subset(dataset, [2, 0])
    assert len(subset) == 2
    assert same(subset[0], dataset[2]) and same(subset[1], dataset[0])


def test_reading_needs_neither_torch_nor_what_other_formats_need(tmp_path):
    write_folder(tmp_path)
    code = (
        "import sys, fastdepth_ros.data.authors, fastdepth_ros.data.check, fastdepth_ros.data.datasets as d, pathlib\n"
        "d.open_dataset('folder', pathlib.Path(sys.argv[1]), 'train')[0]\n"
        "print(*{'torch', 'h5py', 'scipy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
