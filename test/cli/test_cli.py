"""The verbs as a user types them: what they print, what they write, and how they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from manifests import edit_manifest
from networks import fastdepth
from processes import environment
from verbs import ALL_VERBS, names, refused, run

from fastdepth_ros import cli
from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.manifest import MANIFEST
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.cli import VERBS, main
from fastdepth_ros.data.authors import authors_view
from fastdepth_ros.data.datasets import open_dataset
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.metrics.depth import NAMES, depth_errors, mean_errors

PYTORCH = pytest.mark.needs("torch")
FIGURES = {"rmse", "mae", "rel", "log10", "irmse", "imae", "delta1", "delta2", "delta3", "images", "pooled"}
FIGURES |= {"delta1_median_scaled", "rmse_median_scaled", "delta1_near", "focal_scale", "unmeasured"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A 320x240 jpg."""
    path = tmp_path / "in" / "scene.jpg"
    path.parent.mkdir()
    color = cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8), (320, 240))
    cv2.imwrite(str(path), color)
    return path


# --- in general -------------------------------------------------------------------------------------------------------


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_each_verb_explains_itself(capsys, verb):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"fastdepth {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "far"])
def test_a_number_of_an_option_is_finite(capsys, text):
    """Each option with a number has the same type."""
    with pytest.raises(SystemExit):
        main(["image", "x.png", "--out", "y", f"--focal-px={text}"])
    assert f"--focal-px: invalid number value: '{text}'" in capsys.readouterr().err
    verbs = Path(cli.__file__).parent.glob("*.py")
    assert not [verb.name for verb in verbs if "type=float" in verb.read_text()]


@pytest.mark.parametrize("arguments", [[], ["fly"], ["evaluate"], ["image"], ["models"]])
def test_wrong_usage_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: fastdepth" in capsys.readouterr().err


# --- evaluate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "rel"),
    [("onnxruntime", 1e-6), pytest.param("pytorch", 1e-4, marks=PYTORCH)],
    ids=["onnxruntime", "pytorch"],
)
def test_evaluate_prints_the_mean_of_the_errors_of_each_image(capsys, artifact_folder, pairs, backend, rel):
    options = ("--model", artifact_folder, "--dataset", "nyu-labeled", "--root", pairs)
    assert run("evaluate", *options, "--backend", backend, "--threads", 1, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == FIGURES
    assert set(figures.pop("pooled")) == {*NAMES, "delta1_near"}
    engine = find_artifact(artifact_folder).load("onnxruntime", BackendOptions(threads=1))
    expected = mean_errors(
        depth_errors(engine.infer(authors_view(pair.rgb, 224)).depth, authors_view(pair.depth, 224))
        for pair in open_dataset("nyu-labeled", pairs, "test")
    )
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=rel, abs=1e-6)


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


def test_evaluate_judges_the_confidence_and_draws_its_reliability(capsys, confident_folder, pairs, tmp_path):
    options = ["--model", confident_folder, "--dataset", "nyu-labeled", "--root", pairs, "--backend", "onnxruntime"]
    assert run("evaluate", *options, "--json", "--reliability", tmp_path / "out.png") == 0
    found = json.loads(capsys.readouterr().out)["confidence"]
    assert 0 < found["brier"] < 1 and set(found["shares"]) == {"0.5", "0.7", "0.9", "1"}
    assert found["area_oracle"] <= found["area"] and sum(each["share"] for each in found["tenths"]) == pytest.approx(1)
    assert cv2.imread(str(tmp_path / "out.png")).std() > 0
    assert run("evaluate", *options) == 0
    printed = capsys.readouterr().out
    assert f"Brier {found['brier']:.4f}" in printed and "by depth" in printed and "most confident" in printed


def test_evaluate_draws_no_reliability_of_a_model_without_confidence(capsys, artifact_folder, pairs, tmp_path):
    options = ["--model", artifact_folder, "--dataset", "nyu-labeled", "--root", pairs]
    line = refused(capsys, "evaluate", *options, "--reliability", tmp_path / "out.png")
    assert "no calibrated confidence" in line and not (tmp_path / "out.png").exists()


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
    assert "no artifact" in line(model=tmp_path)
    assert "onnxruntime" in line(backend="tensorflow")
    assert "cpu" in line(device="abacus")


@PYTORCH
def test_evaluate_refuses_a_device_that_is_not_there(capsys, artifact_folder, pairs):
    options = ("--model", artifact_folder, "--dataset", "nyu-labeled", "--root", pairs, "--backend", "pytorch")
    assert "cuda:99" in refused(capsys, "evaluate", *options, "--device", "cuda:99")


@PYTORCH
def test_evaluate_runs_a_model_of_weights_alone_in_pytorch(capsys, artifact_folder, pairs, tmp_path):
    shutil.copytree(artifact_folder, tmp_path / "weights")
    edit_manifest(tmp_path / "weights", lambda manifest: manifest["files"].pop("onnx"))
    assert run("evaluate", "--model", tmp_path / "weights", "--dataset", "nyu-labeled", "--root", pairs) == 0
    assert "on pytorch" in capsys.readouterr().out


# --- image ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("pytorch", marks=PYTORCH)])
def test_image_writes_the_depth_of_the_hot_path(artifact_folder, image, tmp_path, backend):
    out = tmp_path / "out.npy"
    assert run("image", image, "--model", artifact_folder, "--backend", backend, "--threads", 1, "--out", out) == 0
    depth = np.load(out)
    engine = find_artifact(artifact_folder).load(backend, BackendOptions(threads=1))
    np.testing.assert_array_equal(
        depth, DepthEstimator(engine, fastdepth())(Frame(cv2.imread(str(image)), "bgr")).depth
    )
    assert depth.dtype == np.float32
    assert names(tmp_path) == ["in", "out.npy"]


def test_image_scales_to_a_focal_length_and_is_infinite_beyond_a_maximum(artifact_folder, image, tmp_path):
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
    for focal_px in (-1, 0.5, 1e9):
        assert f"--focal-px is {focal_px:g}" in refused(capsys, *common, "--focal-px", focal_px)
    assert "threads is -1" in refused(capsys, *common, "--threads", -1)


def test_image_of_a_single_color_is_told(artifact_folder, capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((240, 320, 3), np.uint8))
    given = ("image", tmp_path / "dark.png", "--model", artifact_folder, "--out", tmp_path / "out.npy")
    assert run(*given) == 0 and "dark.png: an image of a single color" in capsys.readouterr().err


def test_image_writes_a_colored_png(artifact_folder, image, tmp_path):
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
    np.testing.assert_array_equal(np.load(tmp_path / "auto.npy"), engine.infer(rgb).depth)
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
def test_image_names_the_file_that_it_cannot_use_and_leaves_no_partial(capsys, artifact_folder, image, tmp_path, fault):
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


# --- the bundled model ------------------------------------------------------------------------------------------------


def test_verify_tells_of_a_missing_engine_and_fails_only_without_any(capsys, artifact_folder, monkeypatch):
    for name in ("openvino", "torch", "tvm"):
        monkeypatch.setitem(sys.modules, name, None)  # Python's own way to say that an import is not there
    assert run("models", "verify", artifact_folder) == 0
    printed = capsys.readouterr().out
    assert "onnxruntime: onnxruntime " in printed and "pytorch: backend 'pytorch' is not installed: " in printed
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert run("models", "verify", artifact_folder) == 1


def test_without_a_model_the_bundled_one_runs_on_every_installed_backend(capsys, image, tmp_path):
    assert run("models", "list") == 0
    assert find_artifact().name in capsys.readouterr().out
    assert run("models", "verify") == 0
    assert run("image", image, "--out", tmp_path / "out.npy") == 0
    assert np.isfinite(np.load(tmp_path / "out.npy")).mean() > 0.99


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
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert finished.returncode == 1
    assert "fastdepth_ros[bags]" in finished.stderr and "Traceback" not in finished.stderr
