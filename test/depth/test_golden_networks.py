"""The golden frame catches a network that was changed, in ONNX or PyTorch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from manifests import edit_manifest

torch = pytest.importorskip("torch", reason="torch is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from networks import fastdepth  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from fastdepth_ros.artifact.artifact import find_artifact  # noqa: E402
from fastdepth_ros.artifact.golden import check_golden  # noqa: E402
from fastdepth_ros.artifact.record import golden_record  # noqa: E402
from fastdepth_ros.backends import BackendOptions  # noqa: E402
from fastdepth_ros.errors import FastDepthError  # noqa: E402

ONE_THREAD = BackendOptions(threads=1)
BACKENDS = ("onnxruntime", "pytorch")


def change_onnx(folder: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    """Other weights under a sha256 that is right again."""
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(change(tensor.name, numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, folder / "model.onnx")
    sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"]["onnx"].update(sha256=sha256))


def change_safetensors(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The same for every convolution kernel of the checkpoint."""
    path = folder / "model.safetensors"
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata()
    tensors = {name: change(t).contiguous() if t.ndim == 4 else t for name, t in load_file(path).items()}
    save_file(tensors, path, metadata)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"]["safetensors"].update(sha256=sha256))


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_passes_with_the_record_of_the_other(spoiled, backend):
    artifact = find_artifact(spoiled)
    engine = artifact.load(backend, ONE_THREAD)
    for other in BACKENDS:
        record = json.loads(json.dumps(golden_record(artifact.load(other, ONE_THREAD), fastdepth())))
        off_m = check_golden(engine, record, fastdepth())
        assert 0 <= off_m <= 1.1e-4  # rounded to 0.1 mm


@pytest.mark.parametrize("share", [1.05, 0.9])
def test_a_changed_onnx_network_is_refused(spoiled, share):
    change_onnx(
        spoiled, lambda name, weights: (weights * share).astype(weights.dtype) if weights.ndim == 4 else weights
    )
    with pytest.raises(FastDepthError, match=r"off by .* m"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)
    find_artifact(spoiled).load("pytorch", ONE_THREAD)


def test_swapped_color_channels_are_refused(spoiled):
    def bgr(name: str, weights: np.ndarray) -> np.ndarray:
        return weights[:, ::-1].copy() if weights.ndim == 4 and weights.shape[1:] == (3, 3, 3) else weights

    change_onnx(spoiled, bgr)
    with pytest.raises(FastDepthError):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


def test_one_changed_bias_is_refused(spoiled):
    """The head's, by 1 cm: as small as what an int8 conversion would do."""
    head = [tensor.name for tensor in onnx.load(spoiled / "model.onnx").graph.initializer if tensor.dims == [1]]
    assert head
    change_onnx(spoiled, lambda name, weights: weights + np.float32(0.01) if name in head else weights)
    with pytest.raises(FastDepthError, match=r"0\.01"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize("share", [1.05, float("nan")])
def test_a_changed_pytorch_network_is_refused(spoiled, share):
    change_safetensors(spoiled, lambda weights: weights * share)
    with pytest.raises(FastDepthError, match=r"pytorch.* is off by"):
        find_artifact(spoiled).load("pytorch", ONE_THREAD)
    find_artifact(spoiled).load("onnxruntime", ONE_THREAD)
