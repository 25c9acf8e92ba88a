"""The golden frame catches a backend that no longer computes its network."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.depth.artifact import MANIFEST, find_artifact
from fastdepth_ros.depth.golden import GoldenError, check_golden, golden_frame, golden_record

ONE_THREAD = BackendOptions(threads=1)
BACKENDS = ("onnxruntime", "pytorch")


@pytest.fixture
def folder(artifact_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact_folder, tmp_path / "model"))


def change_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def change_onnx(folder: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    """Other weights under a sha256 that is right again."""
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(change(tensor.name, numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, folder / "model.onnx")
    sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    change_manifest(folder, lambda manifest: manifest["files"]["onnx"].update(sha256=sha256))


def change_safetensors(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The same for every convolution kernel of the checkpoint."""
    path = folder / "model.safetensors"
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata()
    tensors = {name: change(t).contiguous() if t.ndim == 4 else t for name, t in load_file(path).items()}
    save_file(tensors, path, metadata)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    change_manifest(folder, lambda manifest: manifest["files"]["safetensors"].update(sha256=sha256))


def test_the_golden_frame_never_changes():
    """Every manifest in the world holds its depth; another frame would refuse them all."""
    frame = golden_frame(224)
    assert frame.shape == (224, 224, 3)
    assert frame.dtype == np.uint8
    assert hashlib.sha256(frame.tobytes()).hexdigest() == (
        "54ce25d4b8cb4b55cf4af42c1124e1747dbd560e61adb964818a03828d4c5319"
    )


def test_the_golden_frame_differs_by_channel_and_under_each_mirror():
    frame = golden_frame(224).astype(int)
    for other in (frame[..., ::-1], frame[::-1], frame[:, ::-1], frame.transpose(1, 0, 2)):
        assert np.abs(frame - other).mean() > 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_passes_with_the_record_of_the_other(folder, backend):
    artifact = find_artifact(folder)
    engine = artifact.load(backend, ONE_THREAD)
    for other in BACKENDS:
        record = json.loads(json.dumps(golden_record(artifact.load(other, ONE_THREAD), 224)))
        off_m = check_golden(engine, record, 224)
        assert 0 <= off_m <= 1.1e-4  # rounded to 0.1 mm


def test_the_record_samples_the_depth_of_the_golden_frame(folder):
    engine = find_artifact(folder).load("onnxruntime", ONE_THREAD)
    record = golden_record(engine, 224)
    sampled = np.array(record["depth_m"])
    assert sampled.shape == (14, 14)
    every = record["spacing_px"]
    np.testing.assert_allclose(
        sampled, engine.infer(golden_frame(224))[every // 2 :: every, every // 2 :: every], atol=6e-5
    )
    assert np.unique(sampled).size > 10  # a flat record would prove nothing


def test_the_largest_difference_is_returned_and_over_the_tolerance_refused_with_it(folder):
    engine = find_artifact(folder).load("onnxruntime", ONE_THREAD)
    record = golden_record(engine, 224)
    record["depth_m"][3][7] += 0.0008
    assert check_golden(engine, record, 224) == pytest.approx(0.0008, abs=1e-4)
    record["depth_m"][3][7] += 0.25
    with pytest.raises(GoldenError, match=r"onnxruntime.* 0\.25\d+ m .*0\.001 m"):
        check_golden(engine, record, 224)
    record["tolerance_m"] = 0.5
    check_golden(engine, record, 224)


@pytest.mark.parametrize("share", [1.05, 0.9])
def test_a_changed_onnx_network_is_refused(folder, share):
    change_onnx(folder, lambda name, weights: (weights * share).astype(weights.dtype) if weights.ndim == 4 else weights)
    with pytest.raises(GoldenError, match=r"off by .* m"):
        find_artifact(folder).load("onnxruntime", ONE_THREAD)
    find_artifact(folder).load("pytorch", ONE_THREAD)


def test_swapped_colour_channels_are_refused(folder):
    def bgr(name: str, weights: np.ndarray) -> np.ndarray:
        return weights[:, ::-1].copy() if weights.ndim == 4 and weights.shape[1:] == (3, 3, 3) else weights

    change_onnx(folder, bgr)
    with pytest.raises(GoldenError):
        find_artifact(folder).load("onnxruntime", ONE_THREAD)


def test_one_changed_bias_is_refused(folder):
    """The head's, by 1 cm: as small as what an int8 conversion would do."""
    head = [tensor.name for tensor in onnx.load(folder / "model.onnx").graph.initializer if tensor.dims == [1]]
    assert head
    change_onnx(folder, lambda name, weights: weights + np.float32(0.01) if name in head else weights)
    with pytest.raises(GoldenError, match=r"0\.01"):
        find_artifact(folder).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize("share", [1.05, float("nan")])
def test_a_changed_pytorch_network_is_refused(folder, share):
    change_safetensors(folder, lambda weights: weights * share)
    with pytest.raises(GoldenError, match=r"pytorch.* is off by"):
        find_artifact(folder).load("pytorch", ONE_THREAD)
    find_artifact(folder).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"depth_m": [[1.0]]},
        {"depth_m": [[1, 2], [3, 4]], "tolerance_m": 0.001},
        {"depth_m": [[10**400]], "tolerance_m": 0.001},
    ],
    ids=range(4),
)
def test_a_record_that_is_no_golden_record_is_refused(folder, record):
    change_manifest(folder, lambda manifest: manifest.update(golden=record))
    with pytest.raises(GoldenError):
        find_artifact(folder).load("onnxruntime", ONE_THREAD)
