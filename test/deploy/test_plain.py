"""Plain export: what the compilers of accelerators take, equal to the artifact, and the check of what comes back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from foreign import NETWORKS, write
from verbs import refused, run

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.golden import golden_frame

PAGE = Path(__file__).resolve().parents[2] / "doc" / "accelerators.md"
STANDARD = {"Add", "Clip", "Constant", "Conv", "Relu", "Resize"}
PICTURES = 3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(3)
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def plain(artifact_folder, pictures, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "plain"
    assert run("export", artifact_folder, "--plain", "--images", pictures, "--out", out) == 0
    return out


def plain_depth(plain: Path, planes: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(plain / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {"rgb": planes})[0]


def test_the_graph_is_static_float_nchw_of_standard_operators(plain):
    model = onnx.load(plain / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (taken,), (given,) = model.graph.input, model.graph.output
    for value, channels in ((taken, 3), (given, 1)):
        tensor = value.type.tensor_type
        assert tensor.elem_type == onnx.TensorProto.FLOAT
        assert [axis.dim_value for axis in tensor.shape.dim] == [1, channels, 224, 224]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert {node.op_type for node in model.graph.node} <= STANDARD


def test_the_plain_network_is_equal_to_the_artifact(plain, artifact_folder):
    engine = find_artifact(artifact_folder).load()
    for rgb in np.random.default_rng(5).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8):
        planes = (rgb.transpose(2, 0, 1)[None] / 255).astype(np.float32)
        np.testing.assert_allclose(plain_depth(plain, planes)[0, 0], engine.infer(rgb).depth, rtol=0, atol=1e-4)


def test_the_default_model_is_equal_to_its_artifact(pictures, tmp_path, capsys):
    assert run("export", "--plain", "--images", pictures, "--frames", 1, "--out", tmp_path / "plain") == 0
    off_m = float(re.search(r"equal to the artifact to (\S+) m; 1 frames of pictures", capsys.readouterr().out)[1])
    assert off_m <= 1e-4
    assert run("models", "verify", "--against", tmp_path / "plain" / "golden_output.npy") == 0


def test_calibration_and_golden_files_are_what_the_network_takes_and_gives(plain):
    frames, golden = np.load(plain / "calibration.npy"), np.load(plain / "golden_input.npy")
    assert frames.shape == (PICTURES, 3, 224, 224) and golden.shape == (1, 3, 224, 224)
    assert frames.dtype == golden.dtype == np.float32
    assert 0 <= frames.min() < 0.1 and 0.9 < frames.max() <= 1
    np.testing.assert_allclose(plain_depth(plain, golden), np.load(plain / "golden_output.npy"), rtol=0, atol=1e-5)
    interface = json.loads((plain / "interface.json").read_text())
    assert interface["input"]["shape"] == [1, 3, 224, 224] and interface["input"]["std"] == [255, 255, 255]


def test_the_script_of_the_page_quantizes_and_verify_accepts_its_depth(plain, artifact_folder, capsys):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    done = subprocess.run([sys.executable, "-c", script], cwd=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (plain / "dataset.txt").read_text().split() == [f"frame_{number}.png" for number in range(PICTURES)]
    first = cv2.imread(str(plain / "frame_0.png"))[..., ::-1]
    np.testing.assert_array_equal(first, np.load(plain / "pixels_nhwc.npy")[0])
    assert run("models", "verify", artifact_folder, "--against", plain / "depth.npy", "--tolerance", 2) == 0
    capsys.readouterr()
    assert run("models", "verify", artifact_folder, "--against", plain / "depth.npy") == 1  # int8 is no fp32
    assert "does not compute tiny: off from its golden depth by" in capsys.readouterr().out


@pytest.mark.parametrize(("factor", "said"), [(1.01, "its median is 1.010"), (np.nan, "inf m at most")])
def test_another_depth_than_the_golden_one_is_told_and_fails(plain, artifact_folder, tmp_path, capsys, factor, said):
    np.save(tmp_path / "depth.npy", np.load(plain / "golden_output.npy")[0, 0].astype(np.float64) * factor)
    assert run("models", "verify", artifact_folder, "--against", tmp_path / "depth.npy") == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((224, 224), np.uint8), "holds uint8, it should hold meters as floating-point numbers"),
        (np.zeros((1, 112, 112), np.float32), r"has shape \(1, 112, 112\), it should be \(1, 1, 224, 224\)"),
        (b"no array", "is no array that numpy.save wrote"),
    ],
)
def test_a_file_that_holds_no_depth_is_refused(artifact_folder, tmp_path, capsys, array, said):
    path = tmp_path / "depth.npy"
    path.write_bytes(array) if isinstance(array, bytes) else np.save(path, array)
    assert re.search(said, refused(capsys, "models", "verify", artifact_folder, "--against", path))


def test_options_of_the_other_kind_of_export_are_refused(artifact_folder, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert "leave one out" in refused(capsys, "export", artifact_folder, "--plain", "--half", "--out", out)
    checkpoint = artifact_folder / "model.safetensors"
    assert "give --plain" in refused(capsys, "export", checkpoint, "--images", pictures, "--out", out)
    assert "name the checkpoint" in refused(capsys, "export", "--out", out)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if not network.camera])
def test_an_imported_network_loses_its_wrapping(name, pictures, tmp_path):
    network, artifact, out = NETWORKS[name], tmp_path / name, tmp_path / "plain"
    said = ["--license", "MIT", *network.options, "--yes", "--out", artifact]
    assert run("models", "import", write(name, tmp_path), *said) == 0
    assert run("export", artifact, "--plain", "--images", pictures, "--out", out) == 0
    model = onnx.load(out / "model.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, *network.shape]
    assert np.load(out / "calibration.npy").shape == (PICTURES, 3, *network.shape)
    assert run("models", "verify", artifact, "--against", out / "golden_output.npy") == 0
    taken, rgb = json.loads((out / "interface.json").read_text())["input"], golden_frame(*network.shape)
    planes = ((rgb - np.array(taken["mean"])) / taken["std"]).astype(np.float32).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(np.load(out / "golden_input.npy"), planes, rtol=0, atol=1e-5)


def test_a_network_that_takes_blue_first_says_so(pictures, tmp_path):
    said = ["--bgr", "--license", "MIT", *NETWORKS["midas-small"].options, "--yes", "--out", tmp_path / "bgr"]
    assert run("models", "import", write("midas-small", tmp_path), *said) == 0
    assert run("export", tmp_path / "bgr", "--plain", "--images", pictures, "--out", tmp_path / "plain") == 0
    assert json.loads((tmp_path / "plain" / "interface.json").read_text())["input"]["channels"] == "BGR"


def test_a_network_that_takes_the_camera_has_no_plain_form(pictures, tmp_path, capsys):
    said = ["--license", "MIT", *NETWORKS["unidepth"].options, "--yes", "--out", tmp_path / "camera"]
    assert run("models", "import", write("unidepth", tmp_path), *said) == 0
    line = refused(capsys, "export", tmp_path / "camera", "--plain", "--images", pictures, "--out", tmp_path / "plain")
    assert "has no plain form: the network takes the camera matrix too" in line
