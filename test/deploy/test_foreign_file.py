"""Model files of other tools: a .tflite as it is, and a file added to the artifact whose network it computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tflite_files import Graph, Part, serialize
from verbs import refused, run

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.golden import golden_frame
from fastdepth_ros.artifact.manifest import fastdepth_fields
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.deploy.foreign_file import add_file, import_tflite
from fastdepth_ros.depth.geometry import Focal
from fastdepth_ros.errors import FastDepthError

pytestmark = pytest.mark.needs("ai_edge_litert")
MODELS = Path(__file__).resolve().parents[1] / "models"
FIELDS = {"licence": "MIT", **fastdepth_fields({"fx": 198.9, "fy": 265.8})}
SHAPE = (1, 32, 48)
INT8 = (MODELS / "red_to_depth_int8.tflite").read_bytes()
DAMAGED = INT8[:697] + bytes([123]) + INT8[698:]  # LiteRT 2.3 dies of it


def convolved(*, channels: int = 1, kernel: float = 0.1, inputs: int = 1, shape: tuple[int, ...] = SHAPE) -> bytes:
    """A float network of one 1x1 convolution, or of a sum of its inputs before that."""
    graph = Graph([Part((*shape, 3)) for _ in range(inputs)])
    at = 0
    if inputs == 2:
        at = graph.step("ADD", [0, 1], "AddOptions")
        graph.parts[at] = Part((*shape, 3))
    weights = np.full((channels, 1, 1, 3), kernel, "<f4")
    constants = [
        Part(weights.shape, data=weights.tobytes()),
        Part((channels,), data=np.ones(channels, "<f4").tobytes()),
    ]
    at = graph.step("CONV_2D", [at, *map(graph.add, constants)], "Conv2DOptions", Padding=1, StrideH=1, StrideW=1)
    graph.parts[at] = Part((*shape, channels))
    return serialize(graph, inputs=inputs)


@pytest.mark.parametrize(("name", "precision"), [("red_to_depth", "fp32"), ("red_to_depth_int8", "int8")])
def test_a_tflite_file_becomes_an_artifact_as_it_is(tmp_path, name, precision):
    file = MODELS / f"{name}.tflite"
    assert import_tflite(file, tmp_path / "red", FIELDS, {}) == precision
    artifact = find_artifact(tmp_path / "red")
    assert artifact.network.input.shape == (32, 48) and artifact.formats(precision) == ["tflite"]
    assert artifact.verified(next(iter(artifact.manifest["files"]))).read_bytes() == file.read_bytes()
    engine = artifact.load("litert", BackendOptions(precision=precision))  # checks the golden frame
    rgb = golden_frame(32, 48)
    expected = np.maximum(0, (rgb[..., 0].astype(np.float32) - 10) / 20)
    np.testing.assert_allclose(engine.infer(rgb).depth, expected, rtol=0, atol=0.06 if precision == "int8" else 1e-5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no model file at .*net.tflite"),
        (b"no model", "litert cannot load"),
        (DAMAGED, "ends litert with signal 11; it is damaged|litert cannot load"),
        (convolved(inputs=2), "has 2 inputs and 1 outputs; it should have an image and a depth, one each"),
        (convolved(channels=2), r"gives \(1, 32, 48, 2\), it should give a depth"),
        (convolved(shape=(1, 1, 48)), r"gives \(1, 1, 48, 1\), it should give a depth"),
        (convolved(kernel=0.0), "gives the same depth everywhere on the golden frame: 1.0"),
        (convolved(kernel=np.nan), "gives the same depth everywhere on the golden frame: nan"),
    ],
    ids=["absent", "garbage", "damaged", "two inputs", "two channels", "a row", "constant", "not finite"],
)
def test_a_tflite_file_without_depth_is_refused_and_leaves_nothing(tmp_path, content, said):
    file = tmp_path / "net.tflite"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FastDepthError, match=said):
        import_tflite(file, tmp_path / "out", FIELDS, {})
    assert [path.name for path in tmp_path.iterdir()] == [file.name] * (content is not None)


@pytest.mark.shared
def test_the_public_int8_fastdepth_computes_what_its_float_import_does(shared, tmp_path):
    from fastdepth_ros.deploy.export import export_artifact
    from fastdepth_ros.nn.importers.importer import import_network

    file = shared / "data" / "weights" / "fast_depth_224_int8.tflite"
    assert import_tflite(file, tmp_path / "int8", FIELDS, {}) == "int8"
    export_artifact(import_network(file), tmp_path / "float", {"licence": "MIT"})
    engine = find_artifact(tmp_path / "int8").load("litert", BackendOptions(precision="int8"))
    rgb = (np.load(shared / "data" / "nyu_sample" / "rgb.npy") * 255).round().astype(np.uint8)
    difference = engine.infer(rgb).depth - find_artifact(tmp_path / "float").load().infer(rgb).depth
    assert 0 < np.abs(difference).mean() < 0.1  # steps of the int8 output are 0.07 m


def test_the_verb_shows_a_tflite_file_and_keeps_it_as_it_is(tmp_path, capsys):
    file, out = MODELS / "red_to_depth_int8.tflite", tmp_path / "red"
    said = ["models", "import", file, "--as-is", "--license", "MIT", "--focal", "trained:40,50", "--out", out]
    assert run(*said) == 1 and not out.exists()
    printed = capsys.readouterr().out
    assert "uint8 (1, 32, 48, 3), rgb, bytes as they are" in printed and "add --yes" in printed
    assert run(*said, "--yes") == 0 and run("models", "verify", out) == 0
    artifact = find_artifact(out)
    assert (artifact.licence, artifact.trained_focal) == ("MIT", Focal(40, 50))
    assert artifact.manifest["files"]["tflite-int8"].keys() == {"file", "sha256"}


def test_options_say_what_a_float_file_does_not(tmp_path):
    said = [
        "models",
        "import",
        MODELS / "red_to_depth.tflite",
        "--as-is",
        "--license",
        "MIT",
        "--normalize",
        "imagenet",
    ]
    inverse = ["--kind", "inverse-depth", "--relative", "--bgr", "--fit", "pad", "--yes", "--out", tmp_path / "red"]
    assert run(*said, "--source", "the maker", *inverse) == 0
    manifest = find_artifact(tmp_path / "red").manifest
    entry = manifest["files"]["tflite"]
    assert manifest["source"] == "the maker"
    assert entry["mean"] == [123.675, 116.28, 103.53] and entry["channels"] == "bgr" and entry["reciprocal"]
    assert manifest["outputs"]["depth"]["kind"] == "inverse depth" and not manifest["outputs"]["depth"]["metric"]
    assert manifest["input"]["padding"] == [124, 116, 104] and manifest["focal"] == {"rule": "none"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--normalize", "unit"], "an artifact names the license of its weights; say it by --license"),
        (["--license", "MIT"], "does not say how its input is normalized; say it by --normalize"),
        (["--license", "MIT", "--normalize", "unit", "--focal", "input"], "takes no camera matrix"),
    ],
)
def test_what_neither_file_nor_options_say_is_asked_for(tmp_path, capsys, options, said):
    file = MODELS / "red_to_depth.tflite"
    assert said in refused(capsys, "models", "import", file, "--as-is", *options, "--yes", "--out", tmp_path / "out")


def test_a_tflite_file_of_the_same_network_completes_its_artifact(tflite_folder, tmp_path):
    out, int8 = tmp_path / "both", MODELS / "red_to_depth_int8.tflite"
    found = add_file(find_artifact(tflite_folder), int8, "litert", "int8", out, tolerance_m=0.06)
    assert 0 < found.largest_m <= 0.06
    assert set(json.loads((out / "manifest.json").read_text())["files"]) == {"tflite", "tflite-int8"}
    both = find_artifact(out)
    for precision in ("fp32", "int8"):
        assert both.load("litert", BackendOptions(precision=precision)).computes == precision


def test_what_cannot_be_added_is_refused_and_leaves_nothing(tflite_folder, tmp_path):
    source, int8 = find_artifact(tflite_folder), MODELS / "red_to_depth_int8.tflite"
    for file, backend, precision, said in (
        (int8, "litert", "int8", "0.001 m is allowed: .* does not compute red; a larger --tolerance accepts it"),
        (int8, "litert", "fp32", "has a tflite file already; add to an artifact without one"),
        (tmp_path / "absent.tflite", "litert", "int8", "no model file at .*absent.tflite"),
        (int8, "onnxruntime", "fp32", "onnxruntime cannot load"),
    ):
        with pytest.raises(FastDepthError, match=said):
            add_file(source, file, backend, precision, tmp_path / "out")
    assert not list(tmp_path.iterdir())
