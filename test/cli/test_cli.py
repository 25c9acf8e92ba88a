"""The verbs as a user types them: what they print, what they write, and how they refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.cli import VERBS, main
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.datasets import open_dataset
from fastdepth_ros.depth.artifact import MANIFEST, find_artifact
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.metrics.depth import NAMES, depth_errors, mean_errors
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint
from fastdepth_ros.nn.fastdepth import FastDepth, initialise

TINY = Channels((4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8), (8, 8, 8, 8, 4))
BACKENDS = ("onnxruntime", "pytorch")
FIGURES = {"rmse", "mae", "rel", "log10", "irmse", "imae", "delta1", "delta2", "delta3", "images", "pooled"}
FIGURES |= {"delta1_median_scaled", "rmse_median_scaled", "delta1_near", "focal_scale", "unmeasured"}


@pytest.fixture(autouse=True)
def one_thread():
    """Engines that fight over two cores with another job take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """nyu-labeled with two pairs for testing and eight for training, in view from 1.3 m on."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for folder in ("rgb", "depth"):
        (root / folder).mkdir()
    for index in range(1, 11):
        colour = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (160, 120))
        cv2.imwrite(str(root / "rgb" / f"{index:04d}.jpg"), colour)
        cv2.imwrite(str(root / "depth" / f"{index:04d}.png"), rng.integers(33, 100, (120, 160), dtype=np.uint8))
    rows = "".join(f"{index},{'test' if index < 3 else 'train'}\n" for index in range(1, 11))
    (root / "split.csv").write_text("index,split\n" + rows)
    return root


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A 320x240 jpg."""
    path = tmp_path / "in" / "scene.jpg"
    path.parent.mkdir()
    colour = cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8), (320, 240))
    cv2.imwrite(str(path), colour)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line with which a verb ends with exit code 1."""
    capsys.readouterr()
    assert run(*arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    line = printed.err.strip().splitlines()[-1]
    assert line.startswith(f"fastdepth {arguments[0]}: ")
    assert "Traceback" not in printed.err
    return line


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- in general -------------------------------------------------------------------------------------------------------


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


@pytest.mark.parametrize("verb", ["complexity", "evaluate", "export", "image", "models", "train"])
def test_each_verb_explains_itself(capsys, verb):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"fastdepth {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["evaluate"], ["image"], ["models"]])
def test_wrong_usage_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: fastdepth" in capsys.readouterr().err


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
    network = FastDepth(TINY)
    initialise(network, seed=2)
    save_checkpoint(network.eval(), tmp_path / "net.safetensors")
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


# --- evaluate ---------------------------------------------------------------------------------------------------------


def test_evaluate_prints_the_mean_of_the_errors_of_each_image(capsys, artifact_folder, pairs):
    options = ("--model", artifact_folder, "--dataset", "nyu-labeled", "--root", pairs)
    figures = {}
    for backend in BACKENDS:
        assert run("evaluate", *options, "--backend", backend, "--threads", 1, "--json") == 0
        figures[backend] = json.loads(capsys.readouterr().out)
        assert set(figures[backend]) == FIGURES
        pooled = figures[backend].pop("pooled")
        assert set(pooled) == {*NAMES, "delta1_near"}
    assert figures["pytorch"] == pytest.approx(figures["onnxruntime"], rel=1e-4)
    engine = find_artifact(artifact_folder).load("onnxruntime", BackendOptions(threads=1))
    expected = mean_errors(
        depth_errors(engine.infer(authors_view(pair.rgb, 224)), authors_view(pair.depth, 224))
        for pair in open_dataset("nyu-labeled", pairs, "test")
    )
    assert {name: figures["onnxruntime"][name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_evaluate_takes_the_split_and_the_preprocessing(capsys, artifact_folder, pairs):
    options = ("--model", artifact_folder, "--dataset", "nyu-labeled", "--root", pairs, "--threads", 1, "--json")
    seen = []
    for more in (("--split", "test"), ("--split", "train"), ("--preprocess", "node"), ("--preprocess", "authors")):
        assert run("evaluate", *options, *more) == 0
        seen.append(json.loads(capsys.readouterr().out))
    assert [figures["images"] for figures in seen] == [2, 8, 2, 2]
    assert seen[2] != seen[3]
    assert seen[0] == seen[3]


def test_evaluate_prints_a_line_for_people(capsys, artifact_folder, pairs):
    assert run("evaluate", "--model", artifact_folder, "--dataset", "nyu-labeled", "--root", pairs) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)
    assert "onnxruntime" in printed
    assert "authors" in printed
    assert "2 images" in printed
    assert "focal scale 1.000" in printed
    assert "truth under 1.5 m: delta1" in printed


def test_evaluate_records_its_figures_in_the_manifest_only_when_asked(capsys, artifact_folder, pairs, tmp_path):
    folder = Path(shutil.copytree(artifact_folder, tmp_path / "model"))
    options = ("--model", folder, "--dataset", "nyu-labeled", "--root", pairs, "--threads", 1, "--json")
    before = (folder / MANIFEST).read_text()
    assert run("evaluate", *options) == 0
    assert (folder / MANIFEST).read_text() == before
    capsys.readouterr()
    assert run("evaluate", *options, "--record") == 0
    figures = json.loads(capsys.readouterr().out)
    for name in ("pooled", "focal_scale", "unmeasured"):
        figures.pop(name)
    assert run("evaluate", *options, "--record", "--preprocess", "node") == 0
    after = json.loads((folder / MANIFEST).read_text())
    assert len(after["accuracy"]) == 2
    assert after["accuracy"]["nyu-labeled/test/authors"] == pytest.approx(figures, abs=1e-3)
    assert {**after, "accuracy": None} == {**json.loads(before), "accuracy": None}
    find_artifact(folder).load("onnxruntime", BackendOptions(threads=1))


def test_evaluate_refuses_what_is_not_there(capsys, artifact_folder, pairs, tmp_path):
    def line(**changes: object) -> str:
        options = {"model": artifact_folder, "dataset": "nyu-labeled", "root": pairs, **changes}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return refused(capsys, "evaluate", *arguments)

    assert "nyu-labeled" in line(dataset="kitti")
    assert "split.csv" in line(root=tmp_path)
    assert "test, train" in line(split="validation")
    assert "no artefact" in line(model=tmp_path)
    assert "onnxruntime" in line(backend="tensorflow")
    assert "cpu" in line(device="abacus")
    assert "cuda:99" in line(backend="pytorch", device="cuda:99")


# --- image ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_image_writes_the_depth_of_the_hot_path(artifact_folder, image, tmp_path, backend):
    out = tmp_path / "out.npy"
    assert run("image", image, "--model", artifact_folder, "--backend", backend, "--threads", 1, "--out", out) == 0
    depth = np.load(out)
    engine = find_artifact(artifact_folder).load(backend, BackendOptions(threads=1))
    np.testing.assert_array_equal(depth, DepthEstimator(engine, 224)(Frame(cv2.imread(str(image)), "bgr")).depth)
    assert depth.dtype == np.float32
    assert names(tmp_path) == ["in", "out.npy"]


def test_image_scales_depth_to_a_focal_length_and_says_infinity_beyond_a_maximum(artifact_folder, image, tmp_path):
    def depth(*options: object) -> np.ndarray:
        out = tmp_path / "out.npy"
        assert run("image", image, "--model", artifact_folder, "--out", out, "--force", *options) == 0
        return np.load(out)

    plain = depth()
    # of the training camera at this width: 198.9 pixels over 224 of the network input, which is 292 of the frame
    twice = depth("--focal-px", 2 * 198.9 * 292 / 224)
    np.testing.assert_allclose(twice, 2 * plain, rtol=3e-3)
    np.testing.assert_allclose(depth("--focal-scale", 1.5), 1.5 * plain, rtol=1e-6)
    limit = float(np.nanmedian(plain))
    np.testing.assert_array_equal(np.isposinf(depth("--max-depth", limit)), plain > np.float32(limit))


def test_image_refuses_a_scale_that_is_none(capsys, artifact_folder, image, tmp_path):
    common = ("image", image, "--model", artifact_folder, "--out", tmp_path / "out.npy")
    assert "auto, off, or a number" in refused(capsys, *common, "--focal-scale", "half")
    assert "--focal-px is -1" in refused(capsys, *common, "--focal-px", -1)


def test_image_writes_a_coloured_png(artifact_folder, image, tmp_path):
    assert (
        run("image", image, "--model", artifact_folder, "--out", tmp_path / "out.png", "--output-size", "camera") == 0
    )
    assert cv2.imread(str(tmp_path / "out.png")).shape == (240, 320, 3)
    assert names(tmp_path) == ["in", "out.png"]


def test_image_writes_both_for_each_of_several_into_a_folder(artifact_folder, image, tmp_path):
    rgb = cv2.imread(str(image))[..., ::-1]
    cv2.imwrite(str(image.parent / "second.png"), rgb[..., ::-1])
    np.save(image.parent / "third.npy", rgb)
    np.save(image.parent / "fourth.npy", rgb / 255)
    files = [image, *(image.parent / name for name in ("second.png", "third.npy", "fourth.npy"))]
    out = tmp_path / "deep" / "out"
    assert run("image", *files, "--model", artifact_folder, "--threads", 1, "--out", out) == 0
    stems = ("fourth", "scene", "second", "third")
    assert names(out) == [f"{stem}.{suffix}" for stem in stems for suffix in ("npy", "png")]
    depths = [np.load(out / f"{stem}.npy") for stem in stems]
    for depth in depths[:1] + depths[2:]:
        np.testing.assert_array_equal(depth, depths[1])


def test_image_of_the_network_size_is_taken_whole_unless_told_otherwise(artifact_folder, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.save(tmp_path / "rgb.npy", rgb)
    options = ("image", tmp_path / "rgb.npy", "--model", artifact_folder, "--threads", 1)
    assert run(*options, "--out", tmp_path / "auto.npy") == 0
    assert run(*options, "--out", tmp_path / "trained.npy", "--field-of-view", "trained") == 0
    engine = find_artifact(artifact_folder).load("onnxruntime", BackendOptions(threads=1))
    np.testing.assert_array_equal(np.load(tmp_path / "auto.npy"), engine.infer(rgb))
    assert (np.load(tmp_path / "trained.npy") != np.load(tmp_path / "auto.npy")).any()


@pytest.mark.parametrize("target", ["out.npy", "out.png", "folder"])
def test_image_refuses_an_existing_output_and_replaces_it_with_force(capsys, artifact_folder, image, tmp_path, target):
    out = tmp_path / target
    existing = out / "scene.png" if target == "folder" else out
    existing.parent.mkdir(exist_ok=True)
    existing.write_text("precious")
    options = ("image", image, "--model", artifact_folder, "--out", out)
    line = refused(capsys, *options)
    assert existing.name in line
    assert "--force" in line
    assert existing.read_text() == "precious"
    assert run(*options, "--force") == 0
    assert existing.read_bytes() != b"precious"
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


def test_image_refuses_before_it_writes_anything(capsys, artifact_folder, image, tmp_path):
    (image.parent / "more").mkdir()
    same_name = Path(shutil.copy(image, image.parent / "more" / "scene.png"))
    options = ("--model", artifact_folder, "--out")
    assert "same name" in refused(capsys, "image", image, same_name, *options, tmp_path / "out")
    assert "folder" in refused(capsys, "image", image, same_name, *options, tmp_path / "out.npy")
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize("fault", ["missing", "corrupt", "truncated", "tiny", "array"])
def test_image_names_the_file_that_it_cannot_use_and_leaves_nothing_partial(
    capsys, artifact_folder, image, tmp_path, fault
):
    bad = tmp_path / "in" / ("bad.npy" if fault == "array" else "bad.jpg")
    if fault == "corrupt":
        bad.write_bytes(b"\xff\xd8 not a picture")
    elif fault == "truncated":
        bad.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    elif fault == "tiny":
        cv2.imwrite(str(bad), np.zeros((20, 20, 3), np.uint8))
    elif fault == "array":
        np.save(bad, np.zeros((5, 5)))
    line = refused(capsys, "image", image, bad, "--model", artifact_folder, "--out", tmp_path / "out")
    assert ("20x20" if fault == "tiny" else bad.name) in line
    assert [name for name in names(tmp_path / "out") if not name.startswith("scene.")] == []


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
    assert set(json.loads(capsys.readouterr().out)) == FIGURES


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


# --- the bundled model ------------------------------------------------------------------------------------------------


def test_without_a_model_the_bundled_one_runs_on_every_backend(capsys, image, tmp_path):
    assert run("models", "list") == 0
    assert find_artifact().name in capsys.readouterr().out
    assert run("models", "verify") == 0
    assert run("image", image, "--out", tmp_path / "out.npy") == 0
    assert np.isfinite(np.load(tmp_path / "out.npy")).mean() > 0.99


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
def test_the_two_backends_agree_on_the_public_network_to_a_tenth_of_a_millimetre(shared, public):
    """Twenty of the test images; all 654 together reach an rmse of 0.61 m and a delta1 of 0.77."""
    dataset = open_dataset("nyu-labeled", shared / "data" / "nyu_labeled", "test")
    dataset = replace(dataset, names=dataset.names[:20])
    engines = [find_artifact(public).load(backend, BackendOptions(threads=1)) for backend in BACKENDS]
    errors = []
    for pair in dataset:
        rgb = authors_view(pair.rgb, 224)
        one, other = (engine.infer(rgb) for engine in engines)
        assert np.abs(one - other).max() <= 1e-4
        errors.append(depth_errors(one, authors_view(pair.depth, 224)))
    figures = mean_errors(errors)
    assert figures["delta1"] > 0.62
    assert figures["rmse"] < 0.8


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_public_network_reaches_the_papers_accuracy_on_the_whole_test_split(capsys, shared, public):
    root = shared / "data" / "nyu_labeled"
    for backend in BACKENDS:
        capsys.readouterr()
        options = ("--model", public, "--backend", backend, "--dataset", "nyu-labeled", "--root", root)
        assert run("evaluate", *options, "--split", "test", "--json") == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["images"] == 654
        assert 0.60 <= figures["rmse"] <= 0.62
        assert figures["delta1"] >= 0.765


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("preprocess", ["authors", "node"])
def test_the_bundled_model_reaches_what_its_manifest_says(capsys, shared, preprocess):
    claimed = find_artifact().manifest["accuracy"][f"nyu-labeled/test/{preprocess}"]
    options = ("--dataset", "nyu-labeled", "--root", shared / "data" / "nyu_labeled", "--preprocess", preprocess)
    assert run("evaluate", *options, "--split", "test", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert {name: figures[name] for name in claimed} == pytest.approx(claimed, abs=1e-3)
    assert figures["images"] == 654
    assert figures["delta1"] >= 0.52


def test_a_verb_whose_extra_is_not_installed_names_it(tmp_path):
    """Run in a process where rosbags cannot be imported."""
    code = (
        "import sys; sys.modules['rosbags'] = None\n"
        "from fastdepth_ros.cli import main; raise SystemExit(main(['bag', 'x', '--image-topic', 't', '--out', 'o']))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=_here())
    assert finished.returncode == 1
    assert "fastdepth_ros[bags]" in finished.stderr and "Traceback" not in finished.stderr


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
