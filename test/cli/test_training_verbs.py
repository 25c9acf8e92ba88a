"""The verbs that need torch, as a user types them: export, import, train, complexity, and the engines beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verbs import names, refused, run

torch = pytest.importorskip("torch", reason="torch is not installed")

from small_networks import TINY, fresh  # noqa: E402

from fastdepth_ros.artifact.artifact import find_artifact  # noqa: E402
from fastdepth_ros.backends import BackendOptions  # noqa: E402
from fastdepth_ros.data.authors import authors_view  # noqa: E402
from fastdepth_ros.data.datasets import open_dataset  # noqa: E402
from fastdepth_ros.metrics.depth import depth_errors, mean_errors  # noqa: E402
from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402

BACKENDS = ("onnxruntime", "pytorch")


# --- complexity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "weights", "macs"), [("unpruned", 3933088, 736658944), ("pruned", 1343664, 366393384)]
)
def test_complexity_prints_the_papers_numbers(capsys, channels, weights, macs):
    assert run("complexity", "--channels", channels, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["weights"], printed["macs"]) == (weights, macs)
    assert run("complexity", "--channels", channels) == 0
    assert f"{weights:,}" in capsys.readouterr().out


def test_complexity_reads_a_channel_list_from_a_file(capsys, tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.as_mapping()))
    assert run("complexity", "--channels", tmp_path / "tiny.json", "--json") == 0
    assert 0 < json.loads(capsys.readouterr().out)["weights"] < 5000


@pytest.mark.parametrize(
    "text", ["[1, 2]", "{", '{"encoder": [1], "decoder": [2]}', '{"encoder": 5, "decoder": 6}', "7"]
)
def test_complexity_refuses_a_file_that_holds_no_channel_list(capsys, tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    refused(capsys, "complexity", "--channels", tmp_path / "bad.json")


def test_complexity_of_an_unknown_list_names_the_known_ones(capsys):
    line = refused(capsys, "complexity", "--channels", "huge")
    assert "'huge'" in line
    assert "unpruned, pruned" in line


# --- export and models ------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(fresh(seed=2).eval(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_export_proves_the_two_files_agree_and_each_backend_verifies(capsys, checkpoint, tmp_path):
    (tmp_path / "facts.json").write_text('{"training_data": "none", "licence": "Apache-2.0"}')
    out = tmp_path / "model"
    assert run("export", checkpoint, "--out", out, "--facts", tmp_path / "facts.json") == 0
    assert "agree to" in capsys.readouterr().out
    assert names(out) == ["manifest.json", "model.onnx", "model.safetensors"]
    assert find_artifact(out).manifest["licence"] == "Apache-2.0"

    assert run("models", "verify", out) == 0
    printed = capsys.readouterr().out
    assert all(backend in printed for backend in BACKENDS)
    assert "tvm" not in printed  # it has no file for that

    assert run("models", "show", out) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["training_data"] == "none"
    assert shown["channels"] == TINY.as_mapping()

    (out / "model.onnx").write_bytes(b"damaged")
    assert run("models", "verify", out) == 1
    assert "sha256" in capsys.readouterr().out

    assert "exists" in refused(capsys, "export", checkpoint, "--out", out)


def test_export_refuses_what_is_no_checkpoint(capsys, tmp_path):
    (tmp_path / "text.safetensors").write_text("text")
    assert "text.safetensors" in refused(capsys, "export", tmp_path / "text.safetensors", "--out", tmp_path / "out")
    assert "none.safetensors" in refused(capsys, "export", tmp_path / "none.safetensors", "--out", tmp_path / "out")
    assert names(tmp_path) == ["text.safetensors"]


def test_models_import_refuses_other_files(capsys, tmp_path):
    (tmp_path / "net.h5").write_text("text")
    (tmp_path / "net.tflite").write_text("text")
    assert "net.h5" in refused(capsys, "models", "import", tmp_path / "net.h5", "--out", tmp_path / "out")
    assert "net.tflite" in refused(capsys, "models", "import", tmp_path / "net.tflite", "--out", tmp_path / "out")
    assert "none.tflite" in refused(capsys, "models", "import", tmp_path / "none.tflite", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- train ------------------------------------------------------------------------------------------------------------


def test_train_export_and_evaluate_follow_one_another(capsys, pairs, tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.as_mapping()))
    options = ("train", "--dataset", "nyu-labeled", "--root", pairs, "--out", tmp_path / "run",
               "--channels", tmp_path / "tiny.json", "--batch", 4, "--seed", 7)  # fmt: skip
    assert run(*options, "--epochs", 1) == 0
    checkpoint = Path(capsys.readouterr().out.strip())
    assert checkpoint == tmp_path / "run" / "last.safetensors"
    assert load_checkpoint(checkpoint)[0].channels == TINY
    line = refused(capsys, *options, "--epochs", 2)
    assert "another" in line
    assert str(tmp_path / "run") in line
    assert run("export", checkpoint, "--out", tmp_path / "model") == 0
    capsys.readouterr()
    assert run("evaluate", "--model", tmp_path / "model", "--dataset", "nyu-labeled", "--root", pairs, "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2


@pytest.mark.parametrize("beside", ["--encoder resnet18", "--pretrained weights.pth"])
def test_a_start_is_a_whole_network(capsys, pairs, tmp_path, beside):
    options = ("train", "--dataset", "nyu-labeled", "--root", pairs, "--out", tmp_path / "run")
    line = refused(capsys, *options, "--start", tmp_path / "start.safetensors", *beside.split())
    assert "it goes with --channels only" in line
    line = refused(capsys, *options, "--channels", "pruned", "--encoder", "resnet18")
    assert "not of one with another encoder" in line
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_batch_that_the_pairs_do_not_fill(capsys, pairs, tmp_path):
    options = ("--dataset", "nyu-labeled", "--root", pairs, "--out", tmp_path / "run", "--batch", 9)
    assert "8 pairs" in refused(capsys, "train", *options)


@pytest.mark.parametrize(("option", "value"), [("--epochs", 0), ("--batch", 0), ("--learning-rate", -1)])
def test_train_refuses_a_recipe_that_makes_no_sense(capsys, pairs, tmp_path, option, value):
    options = ("--dataset", "nyu-labeled", "--root", pairs, "--out", tmp_path / "run")
    refused(capsys, "train", *options, option, value)


# --- the public network -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public(tmp_path_factory) -> Path:
    """The public TFLite file, imported."""
    weights = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "fast_depth_224_int8.tflite"
    out = tmp_path_factory.mktemp("public") / "model"
    assert run("models", "import", weights, "--out", out) == 0
    return out


@pytest.mark.shared
def test_the_public_network_predicts_the_sample_as_its_authors_published(shared, public, tmp_path):
    sample = shared / "data" / "nyu_sample"
    for backend in BACKENDS:
        out = tmp_path / f"{backend}.npy"
        assert run("image", sample / "rgb.npy", "--model", public, "--backend", backend, "--out", out) == 0
        assert np.abs(np.load(out) - np.load(sample / "pred.npy")).mean() <= 0.03


@pytest.mark.shared
def test_two_backends_agree_on_the_public_network_to_a_tenth_millimeter(shared, public):
    """Twenty of the test images; all 654 together reach an rmse of 0.61 m and a delta1 of 0.77."""
    dataset = open_dataset("nyu-labeled", shared / "data" / "nyu_labeled", "test")
    dataset = replace(dataset, names=dataset.names[:20])
    engines = [find_artifact(public).load(backend, BackendOptions(threads=1)) for backend in BACKENDS]
    errors = []
    for pair in dataset:
        rgb = authors_view(pair.rgb, 224)
        one, other = (engine.infer(rgb).depth for engine in engines)
        assert np.abs(one - other).max() <= 1e-4
        errors.append(depth_errors(one, authors_view(pair.depth, 224)))
    figures = mean_errors(errors)
    assert figures["delta1"] > 0.62
    assert figures["rmse"] < 0.8


@pytest.mark.shared
@pytest.mark.slow
def test_the_public_network_reaches_the_papers_accuracy_on_the_test_split(capsys, shared, public):
    root = shared / "data" / "nyu_labeled"
    for backend in BACKENDS:
        capsys.readouterr()
        options = ("--model", public, "--backend", backend, "--dataset", "nyu-labeled", "--root", root)
        assert run("evaluate", *options, "--split", "test", "--json") == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["images"] == 654
        assert 0.60 <= figures["rmse"] <= 0.62
        assert figures["delta1"] >= 0.765
