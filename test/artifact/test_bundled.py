"""The bundled models: their manifests tell how they came about, and the pages give the manifests' figures."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path

import pytest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.train.recipe import recipe_names

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
BUNDLED = sorted(path.parent.name for path in MODELS.glob("*/manifest.json"))


def test_the_bundled_models_are_the_default_and_its_parent():
    assert BUNDLED == ["fastdepth", "fastdepth-pruned"]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_manifest_tells_origin_and_terms_of_each_part_of_the_training(name):
    manifest = find_artifact(name).manifest
    facts = json.loads((MODELS / "facts.json").read_text())  # what `make model` exports with
    assert {key: manifest[key] for key in facts} == facts
    told = [(part["part"], part["origin"], part["terms"]) for part in manifest["training"]]
    assert len(told) == 7 and all(all(words) for words in told)
    assert len(set(manifest["held_out"]["indices"])) == 76


def test_onnx_runtime_computes_the_bundled_int8_file_in_int8(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = runtime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimized.onnx"), 3
    file = find_artifact().model_file("onnx", "int8").path
    runtime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    constants = {tensor.name: tensor.dims for tensor in graph.initializer}
    int8 = [node for node in graph.node if node.op_type == "QLinearConv"]
    assert len(int8) == 33  # without the first seven, the head and the confidence
    assert all(constants[node.input[3]][0] % 16 == 0 for node in int8), "depthwise kernels take 16 channels at a time"


@pytest.mark.shared
def test_the_held_out_indices_of_the_manifests_are_those_of_the_split(shared):
    spec = importlib.util.spec_from_file_location("held_out", MODELS / "held_out.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (shared / "data" / "nyu_labeled" / "split.csv").open(newline="") as lines:
        rows = [(int(row["index"]), row["split"]) for row in csv.DictReader(lines)]
    held_out = [index for index, split in rows if module.role(index, split) == "held-out"]
    assert find_artifact().manifest["held_out"]["indices"] == held_out


@pytest.mark.parametrize("page", ["doc/models.md", "doc/training.md", "CHANGELOG.rst"])
def test_the_pages_give_the_figures_of_the_manifests(page):
    text = (ROOT / page).read_text()
    for name in BUNDLED:
        figures = find_artifact(name).manifest["accuracy"]["nyu-labeled/test/authors"]
        for key in ("delta1", "rmse"):
            assert f"{figures[key]:.3f}" in text, (name, key)


def test_each_recipe_that_make_model_names_is_there():
    named = re.findall(r"--recipe ([\w-]+)", (MODELS / "default.mk").read_text())
    assert len(named) == 6 and set(named) <= set(recipe_names())
