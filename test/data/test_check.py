"""Whatever is wrong with a data set stands in one report, by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from png_files import png_of

from fastdepth_ros.data.check import Report, check_dataset
from fastdepth_ros.data.datasets import DatasetError, Pair, open_dataset

HEIGHT, WIDTH = 48, 64
PAIRS = 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve sound pairs, the odd ones with a JPEG."""
    (tmp_path / "rgb").mkdir()
    (tmp_path / "depth").mkdir()
    rng = np.random.default_rng(0)
    for number in range(PAIRS):
        rgb = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        cv2.imwrite(str(tmp_path / "rgb" / f"{number:04d}.{'jpg' if number % 2 else 'png'}"), rgb)
        depth = rng.integers(500, 9000, (HEIGHT, WIDTH), dtype=np.uint16)
        cv2.imwrite(str(tmp_path / "depth" / f"{number:04d}.png"), depth)
    (tmp_path / "split.csv").write_text("index,split\n" + "".join(f"{number},train\n" for number in range(PAIRS)))
    return tmp_path


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


def check(root: Path, workers: int = 4) -> Report:
    return check_dataset(open_dataset("folder", root, "train"), workers)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_sound_data_set_has_no_fault(root, workers):
    report = check(root, workers)
    assert report == Report(PAIRS, ())
    report.require_no_fault()
    assert str(report) == "all 12 pairs can be used"


@pytest.mark.parametrize("workers", [1, 4])
def test_all_that_is_wrong_is_named_in_one_report(root, workers):
    (root / "rgb" / "0000.png").unlink()
    (root / "depth" / "0000.png").unlink()
    cut(root / "rgb" / "0001.jpg", 0.6)
    cut(root / "depth" / "0002.png", 0.6)
    flip_byte(root / "depth" / "0003.png")
    (root / "rgb" / "0004.png").write_bytes(b"")
    (root / "depth" / "0005.png").write_text("404 not found")
    (root / "rgb" / "0008.png").write_bytes(png_of(65535, 65535))
    cv2.imwrite(str(root / "depth" / "0006.png"), np.ones((10, 10), np.uint16))
    cv2.imwrite(str(root / "depth" / "0007.png"), np.zeros((HEIGHT, WIDTH), np.uint16))
    report = check(root, workers)
    wanted = (
        ("rgb/0000", "depth/0000.png", "missing"),
        ("rgb/0001.jpg", "truncated"),
        ("depth/0002.png", "truncated"),
        ("depth/0003.png", "damaged"),
        ("rgb/0004.png", "not an image"),
        ("depth/0005.png", "not an image"),
        ("0006", "(48, 64)", "(10, 10)"),
        ("0007", "0 (unknown) everywhere"),
        ("rgb/0008.png", "not an image"),
    )
    assert len(report.faults) == len(wanted)
    for fault, words in zip(report.faults, wanted):
        assert all(word in fault for word in words), fault
    with pytest.raises(DatasetError) as raised:
        report.require_no_fault()
    assert str(raised.value).startswith("9 of 12 pairs cannot be used:")
    assert all(fault in str(raised.value) for fault in report.faults)


@pytest.mark.parametrize("file", ["rgb/0001.jpg", "rgb/0002.png", "depth/0004.png"])
def test_a_file_that_lacks_its_last_bytes_is_found(root, file):
    for lost in (1, 2, 9, 30):
        whole = (root / file).read_bytes()
        (root / file).write_bytes(whole[:-lost])
        faults = check(root).faults
        (root / file).write_bytes(whole)
        assert len(faults) == 1 and file in faults[0]


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_jpeg(root):
    path = root / "rgb" / "0001.jpg"
    whole = path.read_bytes()
    thumbnail = b"\xff\xe1" + (2 + len(whole)).to_bytes(2, "big") + whole  # in a segment of its own
    path.write_bytes(whole[:2] + thumbnail + whole[2:])
    assert check(root).faults == ()
    cut(path, 0.9)
    assert "0001.jpg" in check(root).faults[0]


def test_hdf5_faults_are_named(tmp_path):
    scene = tmp_path / "val" / "official"
    scene.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        depth = rng.uniform(1, 5, (HEIGHT, WIDTH)).astype(np.float32)
        if number == 2:
            depth[3, 4:6] = np.nan, np.inf
        if number == 3:
            depth[:] = 0
        if number == 4:
            depth[0, 0] = -1
        with h5py.File(scene / f"{number:05d}.h5", "w") as file:
            if number == 8:
                file.create_group("rgb")
            else:
                file["rgb"] = "red" if number == 9 else rng.integers(0, 256, (3, HEIGHT, WIDTH), dtype=np.uint8)
            if number != 1:
                file["depth"] = depth
    cut(scene / "00005.h5", 0.7)
    (scene / "00006.h5").write_bytes(b"")
    dataset = open_dataset("nyu-hdf5", tmp_path, "val")
    (scene / "00007.h5").unlink()
    faults = check_dataset(dataset).faults
    words = (
        "depth", "2 depths are not finite", "unknown", "1 depths are negative", "truncated", "HDF5", "missing", "HDF5",
        "rgb is",
    )  # fmt: skip
    assert len(faults) == len(words)
    for number, (fault, word) in enumerate(zip(faults, words), start=1):
        assert f"official/{number:05d}" in fault and word in fault


def test_a_pair_of_the_wrong_type_is_named():
    rgb, depth = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.float32)
    pairs = [Pair("float", rgb / 255, depth), Pair("gray", rgb[..., 0], depth), Pair("fine", rgb, depth)]
    faults = check_dataset(pairs).faults
    assert [fault.split(":")[0] for fault in faults] == ["float", "gray"]
