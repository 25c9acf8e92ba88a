"""Photographs become a data set: one view each, the network's depth, resumed where a killed run stopped."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from small_networks import fresh

from fastdepth_ros.cli import main
from fastdepth_ros.data.datasets import DatasetError, open_dataset
from fastdepth_ros.data.folder_writer import FolderWriter
from fastdepth_ros.data.photographs import Photographs
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.checkpoints import save_checkpoint
from fastdepth_ros.nn.network import FastDepth
from fastdepth_ros.train.labels import Teacher, label_photographs


@pytest.fixture
def network() -> FastDepth:
    network = fresh()
    torch.nn.init.normal_(network.head.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    return network.eval()


@pytest.fixture
def archive(tmp_path):
    """Three squares whose top is red and whose bottom is blue, and a wide one whose middle is green."""
    square = np.zeros((64, 64, 3), np.uint8)
    square[:16], square[48:] = (0, 0, 255), (255, 0, 0)
    wide = np.zeros((48, 128, 3), np.uint8)
    wide[:, 32:96] = (0, 255, 0)
    files = [cv2.imencode(".png", image)[1] for image in (square, square, square, wide)]
    path = tmp_path / "photos.npz"
    np.savez(path, data=np.concatenate(files), off=np.cumsum([0, *map(len, files)]))
    return path


def test_photographs_come_out_of_the_archive_in_rgb(archive):
    photographs = Photographs(archive)
    assert len(photographs) == 4
    assert photographs[0][0, 0].tolist() == [255, 0, 0]
    assert photographs[3].shape == (48, 128, 3)


def test_photographs_of_some_classes_alone(archive, tmp_path):
    with np.load(archive) as arrays:
        np.savez(tmp_path / "named.npz", **arrays, label=[1, 0, 1, 2], classes=["bar", "lobby", "office"])
    chosen = Photographs(tmp_path / "named.npz", ["lobby", "office"])
    assert [photo.shape for photo in (chosen[0], chosen[1], chosen[2])] == [(64, 64, 3), (64, 64, 3), (48, 128, 3)]
    assert len(chosen) == 3 and chosen.fingerprint != Photographs(archive).fingerprint
    with pytest.raises(DatasetError, match="no class castle; it has bar, lobby, office"):
        Photographs(tmp_path / "named.npz", ["castle"])
    with pytest.raises(DatasetError, match="arrays data, off, label, classes"):
        Photographs(archive, ["lobby"])


def test_every_photograph_becomes_a_pair_of_one_view(archive, network, tmp_path):
    out = tmp_path / "labeled"
    assert label_photographs(Photographs(archive), [Teacher(network, 64)], out) == 4
    pairs = open_dataset("folder", out, "train")
    assert len(pairs) == 4
    assert [pair.rgb.shape for pair in pairs] == [(48, 64, 3)] * 4
    top, bottom, wide = pairs[0].rgb, pairs[1].rgb, pairs[3].rgb
    assert top[4, 32, 0] > 200 and top[44, 32, 2] < 60  # red above, and the blue is cut off
    assert bottom[44, 32, 2] > 200 and bottom[4, 32, 0] < 60
    assert wide[..., 1].min() > 200


def test_depth_is_the_networks_where_a_camera_sees_the_trained_part_alike(archive, network, tmp_path):
    label_photographs(Photographs(archive), [Teacher(network, 64)], tmp_path / "labeled")
    square = Photographs(archive)[0][:48]
    rgb = torch.from_numpy(cv2.resize(square, (64, 64))).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = cv2.resize(network.half_resolution(rgb)[0, 0].numpy(), (64, 48))
    found = open_dataset("folder", tmp_path / "labeled", "train")[0].depth
    np.testing.assert_allclose(found, (expected * 44 / 48).clip(0.001), atol=6e-4)  # 44 of 48 rows; millimeters
    assert np.ptp(found) > 0.01


def depth_of(network: FastDepth, picture: np.ndarray, side: int) -> np.ndarray:
    """A network's depth on the grid of a picture."""
    rgb = torch.from_numpy(cv2.resize(picture, (side, side))).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return cv2.resize(network.half_resolution(rgb)[0, 0].numpy(), picture.shape[1::-1])


def test_a_whole_photograph_keeps_its_shape_and_its_depth(archive, network, tmp_path):
    label_photographs(Photographs(archive), [Teacher(network, 64)], tmp_path / "whole", view="whole")
    pair, square = open_dataset("folder", tmp_path / "whole", "train")[0], Photographs(archive)[0]
    assert (pair.view, pair.rgb.shape) == ("whole", (64, 64, 3))
    np.testing.assert_allclose(pair.depth, depth_of(network, square, 64), atol=6e-4)


def test_teachers_of_several_sides_and_the_mirrored_photograph_average(archive, network, tmp_path):
    other = fresh(seed=9)
    torch.nn.init.normal_(other.head.weight, std=0.5, generator=torch.Generator().manual_seed(1))
    for each in (network, other):
        torch.nn.init.constant_(each.head.bias, 2.0)
    teachers = [Teacher(network, 64), Teacher(other.eval(), 96)]
    label_photographs(Photographs(archive), teachers, tmp_path / "mean", view="whole", flip=True)
    square = Photographs(archive)[0].copy()
    square[:, 40:] = 255 - square[:, 40:]
    photos = tmp_path / "lopsided.npz"
    file = cv2.imencode(".png", square[..., ::-1])[1]
    np.savez(photos, data=file, off=[0, len(file)])
    label_photographs(Photographs(photos), teachers, tmp_path / "lopsided", view="whole", flip=True)
    maps = [depth_of(teacher.network, square, teacher.side_px) for teacher in teachers]
    mirrored = np.ascontiguousarray(square[:, ::-1])
    maps += [depth_of(teacher.network, mirrored, teacher.side_px)[:, ::-1] for teacher in teachers]
    found = open_dataset("folder", tmp_path / "lopsided", "train")[0].depth
    np.testing.assert_allclose(found, np.prod(maps, axis=0) ** 0.25, atol=6e-4)
    assert np.abs(maps[0] - maps[2]).max() > 0.01  # the mirrored photograph is seen otherwise
    with pytest.raises(FastDepthError, match="another job"):
        label_photographs(Photographs(archive), teachers, tmp_path / "mean", view="whole")
    with pytest.raises(ValueError, match="need a teacher"):
        label_photographs(Photographs(archive), [], tmp_path / "none")


def test_a_killed_run_goes_on_and_writes_nothing_twice(archive, network, tmp_path):
    out = tmp_path / "labeled"
    label_photographs(Photographs(archive), [Teacher(network, 64)], out)
    (out / "depth" / "000002.png").unlink()
    (out / "split.csv").unlink()
    before = (out / "depth" / "000001.png").stat().st_mtime_ns
    assert label_photographs(Photographs(archive), [Teacher(network, 64)], out) == 1
    assert (out / "depth" / "000001.png").stat().st_mtime_ns == before
    assert len(open_dataset("folder", out, "train")) == 4
    assert not list(out.rglob("*partial*"))


def test_a_folder_of_another_job_is_refused_and_left_alone(archive, network, tmp_path):
    out = tmp_path / "labeled"
    label_photographs(Photographs(archive), [Teacher(network, 64)], out)
    other = fresh(seed=9)
    for teacher, side_px in ((network, 96), (other, 64)):
        with pytest.raises(FastDepthError, match="another job"):
            label_photographs(Photographs(archive), [Teacher(teacher, side_px)], out)
    assert len(open_dataset("folder", out, "train")) == 4


def test_what_is_no_depth_is_stored_as_unknown(tmp_path):
    with FolderWriter(tmp_path, {}) as writer:
        writer.add("0", np.zeros((1, 5, 3), np.uint8), np.array([[0, np.nan, -1, 2, 100]]))
        writer.finish(["0"])
    assert open_dataset("folder", tmp_path, "train")[0].depth[0].tolist() == pytest.approx([0, 0, 0, 2, 65.535])


DATA = np.zeros(4, np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no archive", {"data": DATA}, {"data": DATA, "off": [0, 9]}, {"data": DATA, "off": [-1, 2]},
        {"data": DATA, "off": [0.0, 2.0]}, {"data": DATA, "off": np.zeros(0, int)}, {"data": DATA, "off": [[0, 2]]},
    ],
)  # fmt: skip
def test_another_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "photos.npz"
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"photos\.npz is"):
        Photographs(path)


def test_a_damaged_photograph_is_named(tmp_path):
    path = tmp_path / "photos.npz"
    np.savez(path, data=np.zeros(100, np.uint8), off=[0, 100])
    with pytest.raises(DatasetError, match="photograph 0 of"):
        Photographs(path)[0]


def test_the_verb_labels_and_says_how_many(archive, network, tmp_path, capsys):
    save_checkpoint(network, tmp_path / "teacher.safetensors")
    common = ["label", "--photos", str(archive), "--teacher", str(tmp_path / "teacher.safetensors")]
    assert main([*common, "--side", "64", "--out", str(tmp_path / "out")]) == 0
    assert "4 photographs, 4 of them labeled now" in capsys.readouterr().out
    assert main([*common, "--side", "50", "--out", str(tmp_path / "out")]) == 1
    assert "multiple of 32" in capsys.readouterr().err
    sides = [*common, "--teacher", str(tmp_path / "teacher.safetensors"), "--flip", "--view", "whole"]
    assert main([*sides, "--side", "64", "--side", "96", "--out", str(tmp_path / "both")]) == 0
    assert main([*sides, "--side", "64", "--side", "96", "--side", "64", "--out", str(tmp_path / "three")]) == 1
    assert "3 of --side do not go with 2 of --teacher" in capsys.readouterr().err
