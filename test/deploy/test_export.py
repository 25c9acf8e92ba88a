"""Export: two files that compute the same network, a manifest that says what they are, and nothing half written."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from small_networks import UNEVEN, lively

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.deploy.export import export_artifact
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.checkpoints import load_fastdepth
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.network import FastDepth

FACTS = {"training_data": "noise", "licence": "Apache-2.0", "accuracy": {"noise": {"rmse": 1.5}}}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[FastDepth, Path, float]:
    """A network, its artifact, and the difference that export found."""
    network, out = lively(UNEVEN), tmp_path_factory.mktemp("out") / "sub" / "artifact"
    return network, out, export_artifact(network, out, FACTS)


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    return [blocks, rng.integers(0, 256, (224, 224, 3), dtype=np.uint8), np.zeros((224, 224, 3), np.uint8)]


def test_half_the_space_for_a_network_that_is_to_be_pruned(tmp_path):
    network, out = lively(UNEVEN), tmp_path / "parent"
    off_m = export_artifact(network, out, FACTS, half=True)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "model.safetensors"]
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values() if tensor.ndim == 4} == {
        torch.float16
    }
    restored, _ = load_fastdepth(out / "model.safetensors")
    assert {tensor.dtype for tensor in restored.parameters()} == {torch.float32}
    for (name, kept), exact in zip(restored.state_dict().items(), network.state_dict().values()):
        torch.testing.assert_close(kept, exact, rtol=1e-3 if kept.ndim == 4 else 0, atol=1e-6, msg=name)
    artifact = find_artifact(out)
    backend = artifact.load("pytorch", BackendOptions())  # checks the golden frame
    assert 0 < off_m < 0.1 and backend.infer(images()[0]).depth.shape == (224, 224)
    with pytest.raises(FastDepthError, match="no onnx file, it has safetensors"):
        artifact.load("onnxruntime", BackendOptions())


def test_onnx_computes_what_the_plain_network_computes(exported):
    network, out, off_m = exported
    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    for rgb in images():
        with torch.inference_mode():
            expected = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255).numpy()
        (depth,) = session.run(None, {session.get_inputs()[0].name: rgb[None]})
        assert depth.shape == (1, 1, 224, 224)
        np.testing.assert_allclose(depth, expected, atol=1e-4)
    assert expected.std() > 0.01  # a flat network would agree with anything
    assert 0 <= off_m <= 1e-4


@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch"])
def test_both_backends_load_it_and_agree_with_the_network(exported, backend):
    network, out, _ = exported
    engine = find_artifact(out).load(backend, BackendOptions(threads=1))
    rgb = images()[0]
    with torch.inference_mode():
        expected = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy()
    np.testing.assert_allclose(engine.infer(rgb).depth, expected, atol=1e-4)


def test_the_graph_takes_bytes_and_gives_meters_at_the_manifests_opset(exported):
    _, out, _ = exported
    model = onnx.load(out / "model.onnx")
    onnx.checker.check_model(model)
    manifest = json.loads((out / "manifest.json").read_text())
    (taken,), (given,) = model.graph.input, model.graph.output

    def shape(value) -> list[int]:
        return [dim.dim_value for dim in value.type.tensor_type.shape.dim]

    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert shape(taken) == [1, manifest["input"]["height_px"], manifest["input"]["width_px"], 3] == [1, 224, 224, 3]
    assert given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    depth = manifest["outputs"]["depth"]
    assert shape(given) == [1, 1, depth["height_px"], depth["width_px"]] == [1, 1, 224, 224]
    (main,) = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    assert main == manifest["files"]["onnx"]["opset"]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_the_head_runs_before_the_last_upsample(exported):
    _, out, _ = exported
    kinds = [node.op_type for node in onnx.load(out / "model.onnx").graph.node if node.op_type != "Constant"]
    assert kinds[-4:] == ["Conv", "Relu", "Reshape", "Resize"]


def test_the_manifest_names_each_file_with_its_sha256_and_the_network(exported):
    network, out, _ = exported
    manifest = json.loads((out / "manifest.json").read_text())
    assert {entry["file"] for entry in manifest["files"].values()} == {"model.onnx", "model.safetensors"}
    for entry in manifest["files"].values():
        assert entry["sha256"] == hashlib.sha256((out / entry["file"]).read_bytes()).hexdigest()
    count = complexity(FastDepth(UNEVEN))["total"]
    assert (manifest["weights"], manifest["macs"]) == (count.weights, count.macs)
    assert manifest["name"] == "artifact"
    assert manifest["channels"] == UNEVEN.as_mapping()
    assert (manifest["input"]["view"], manifest["input"]["fit"]) == ("authors", "stretch")
    assert manifest["outputs"]["depth"]["kind"] == "depth" and manifest["outputs"]["depth"]["metric"]
    assert manifest["focal"] == {"rule": "trained", "fx": 198.9, "fy": 265.8}
    assert manifest["made_with"]["torch"] == torch.__version__
    assert np.shape(manifest["golden"]["depth_m"]) == (14, 14)
    assert {key: manifest[key] for key in FACTS} == FACTS


def test_others_can_read_the_artifact(exported):
    _, out, _ = exported
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) & 0o444 for path in out.iterdir()} == {0o444}


def test_only_the_artifact_is_left(exported):
    _, out, _ = exported
    assert [path.name for path in out.parent.iterdir()] == ["artifact"]
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "model.onnx", "model.safetensors"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_output_that_exists_is_refused_and_left_alone(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "precious").write_text("mine")
    else:
        out.write_text("mine")
    with pytest.raises(FileExistsError, match="out exists"):
        export_artifact(lively(UNEVEN), out, {})
    assert ((out / "precious") if kind == "folder" else out).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_network_that_answers_nan_is_refused_and_leaves_nothing(tmp_path):
    network = lively(UNEVEN)
    with torch.no_grad():
        network.head.get_parameter("bias").fill_(float("nan"))
    with pytest.raises(FastDepthError, match="nan"):
        export_artifact(network, tmp_path / "out", {})
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        export_artifact(lively(UNEVEN), tmp_path / "out", {"more": object()})
    with pytest.raises(FastDepthError, match="licence is 5, it should be a text"):
        export_artifact(lively(UNEVEN), tmp_path / "out", {"licence": 5})
    assert not list(tmp_path.iterdir())


def test_the_network_is_left_as_it_was(tmp_path):
    network = lively(UNEVEN)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export_artifact(network, tmp_path / "out", {})
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) and after[name].device.type == "cpu" for name in before)
