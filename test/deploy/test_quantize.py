"""Other precisions of an artifact: beside fp32, never in its place."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.backends.native import host_features
from fastdepth_ros.bench.harness import measure
from fastdepth_ros.bench.plan import engine_subject
from fastdepth_ros.bench.results import results_of
from fastdepth_ros.cli import main
from fastdepth_ros.deploy.quantize import quantize_artifact
from fastdepth_ros.errors import FastDepthError

SIZE_PX = 224
FRAMES = np.random.default_rng(0).integers(0, 256, (6, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
UNSEEN = np.random.default_rng(1).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
FP16_IN_F32 = "fp16 file, f32 arithmetic"
ENGINES = [("int8", "onnxruntime"), ("int8", "openvino"), ("fp16", "onnxruntime"), ("fp16", "openvino"),
           ("bf16", "openvino")]  # fmt: skip


@pytest.fixture(scope="module")
def reduced(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny artifact in every precision that the engines here have."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    folder, source = tmp_path_factory.mktemp("reduced"), artifact_folder
    for precision in ("int8", "fp16", "bf16"):
        quantize_artifact(find_artifact(source), precision, folder / precision, FRAMES, "noise", 1)
        source = folder / precision
    return source


def infer(folder: Path, backend: str, precision: str) -> np.ndarray:
    return find_artifact(folder).load(backend, BackendOptions(threads=1, precision=precision)).infer(UNSEEN).depth


@pytest.mark.parametrize(("precision", "backend"), ENGINES)
def test_a_precision_is_near_fp32_and_not_it(reduced, precision, backend):
    exact = infer(reduced, "onnxruntime", "fp32")
    off_m = np.abs(infer(reduced, backend, precision) - exact)
    assert 0 < off_m.mean() < 0.02 * np.ptp(exact)


@pytest.mark.parametrize(("precision", "backend"), ENGINES)
def test_the_engine_says_its_precision(reduced, precision, backend):
    engine = find_artifact(reduced).load(backend, BackendOptions(precision=precision))
    assert engine.engine.endswith(f"(cpu, {engine.computes})")
    assert engine.computes in {"fp16": ("fp16", FP16_IN_F32), "bf16": ("bf16", "bf16 emulated")}.get(
        precision, (precision,)
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_without_f16_in_the_processor_fp16_is_computed_in_f32_and_told(reduced, backend):
    if host_features() & {"asimdhp", "avx512_fp16", "amx_fp16"}:
        pytest.skip("this processor computes in f16")
    options = BackendOptions(threads=1, precision="fp16")
    engine = find_artifact(reduced).load(backend, options)
    assert engine.engine.endswith("(cpu, fp16 file, f32 arithmetic)")
    subject = engine_subject(find_artifact(reduced), backend, options)
    measured, failed = measure([subject], rounds=1, frames=1)
    (row,) = results_of([subject], measured, failed, {})["rows"]
    assert row["precision"] == "fp16 file, f32 arithmetic" and row["engine"] == engine.engine


def test_fp32_stays_what_it_was_and_the_default(reduced, artifact_folder):
    before, after = find_artifact(artifact_folder), find_artifact(reduced)
    for key, entry in before.manifest["files"].items():
        assert after.manifest["files"][key] == entry
    assert after.manifest["golden"] == before.manifest["golden"]
    np.testing.assert_array_equal(after.load().infer(UNSEEN).depth, before.load().infer(UNSEEN).depth)


def test_the_manifest_says_what_a_precision_is_worth(reduced):
    manifest = find_artifact(reduced).manifest
    assert set(manifest["precisions"]) == {"int8", "fp16", "bf16"}
    int8, fp16 = manifest["precisions"]["int8"], manifest["precisions"]["fp16"]
    assert int8["calibration"] == {"frames": len(FRAMES), "of": "noise"}
    assert int8["agreement_with_fp32"]["frames"] == len(FRAMES)
    assert int8["agreement_with_fp32"]["mean_m"] > fp16["agreement_with_fp32"]["mean_m"]
    assert int8["golden"]["tolerance_m"] > manifest["golden"]["tolerance_m"]
    assert manifest["files"]["onnx-bf16"]["file"] == "model.onnx"


def test_the_manifest_says_that_int8_has_channels_of_zeros(reduced):
    files = json.loads((reduced / "manifest.json").read_text())["files"]
    assert files["onnx-int8"]["rewritings"] == [*files["onnx"]["rewritings"], "channels_in_blocks"]
    assert "channels_in_blocks" not in files["onnx-fp16"]["rewritings"]


def test_bgr_pixels_go_straight_into_int8_too(reduced):
    turned = np.ascontiguousarray(UNSEEN[..., ::-1])
    engine = find_artifact(reduced).load("onnxruntime", BackendOptions(threads=1, precision="int8", channels="bgr"))
    np.testing.assert_allclose(engine.infer(turned).depth, infer(reduced, "onnxruntime", "int8"), rtol=0, atol=1e-3)


def test_a_precision_that_is_not_there_is_refused_with_its_remedy(artifact_folder):
    with pytest.raises(
        FastDepthError, match=r"no onnx-int8 file, it has onnx, safetensors; `fastdepth quantize --to int8"
    ):
        find_artifact(artifact_folder).load("onnxruntime", BackendOptions(precision="int8"))


@pytest.mark.parametrize(("backend", "precision"), [("pytorch", "int8"), ("onnxruntime", "bf16")])
def test_an_engine_without_the_precision_is_refused_and_not_replaced(reduced, backend, precision):
    with pytest.raises(FastDepthError, match=precision):
        find_artifact(reduced).load(backend, BackendOptions(precision=precision))


def test_a_precision_is_made_anew_from_other_frames(reduced, tmp_path):
    before = find_artifact(reduced)
    quantize_artifact(before, "int8", tmp_path / "out", FRAMES[:2], "two frames", 1)
    after = find_artifact(tmp_path / "out")
    assert after.facts("int8")["calibration"] == {"frames": 2, "of": "two frames"}
    assert before.facts("int8")["calibration"]["of"] != "two frames"
    assert sorted(path.name for path in after.folder.iterdir()) == sorted(path.name for path in before.folder.iterdir())
    after.load("onnxruntime", BackendOptions(precision="int8"))


def test_what_cannot_be_made_leaves_nothing_behind(artifact_folder, tmp_path):
    with pytest.raises(FastDepthError, match="no frames to calibrate on"):
        quantize_artifact(find_artifact(artifact_folder), "int8", tmp_path / "out", FRAMES[:0], "noise", 1)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="exists"):
        quantize_artifact(find_artifact(artifact_folder), "int8", tmp_path / "out", FRAMES, "noise", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_verb_refuses_before_it_draws_frames(artifact_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastdepth_ros.cli.quantize.calibration_frames", None)
    assert main(["quantize", "--model", str(artifact_folder), "--to", "int8", "--out", str(tmp_path)]) == 1
    assert f"{tmp_path} exists" in capsys.readouterr().err


def test_the_verb_calibrates_on_my_images_and_records_the_accuracy(artifact_folder, tmp_path, capsys):
    images, data = tmp_path / "mine", tmp_path / "data"
    for folder in (images, data / "rgb", data / "depth"):
        folder.mkdir(parents=True)
    for number, frame in enumerate(FRAMES[:4]):
        picture = cv2.resize(frame, (640, 480))
        cv2.imwrite(str(images / f"{number}.png"), picture)
        cv2.imwrite(str(data / "rgb" / f"{number}.png"), picture)
        cv2.imwrite(str(data / "depth" / f"{number}.png"), np.full((480, 640), 2000 + 100 * number, np.uint16))
    (data / "split.csv").write_text("name,split\n" + "".join(f"{number},test\n" for number in range(4)))
    out = tmp_path / "int8"
    arguments = ["--images", str(images), "--frames", "3", "--dataset", "folder", "--root", str(data)]
    assert main(["quantize", "--model", str(artifact_folder), "--to", "int8", "--out", str(out), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "in int8 too; on 3 frames of mine it is off from fp32 by" in printed
    assert "delta1 lost: " in printed
    facts = json.loads((out / "manifest.json").read_text())["precisions"]["int8"]
    assert facts["calibration"] == {"frames": 3, "of": "mine"}
    assert facts["accuracy"]["folder/test/authors"]["images"] == 4
    assert main(["models", "verify", str(out)]) == 0
    assert "int8) computes int8" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--images", "/nowhere"], ["--bag", "/nowhere"], ["--frames", "0"], ["--dataset", "folder"]]
)
def test_what_the_verb_cannot_read_is_told(artifact_folder, tmp_path, capsys, arguments):
    asked = ["quantize", "--model", str(artifact_folder), "--to", "int8", "--out", str(tmp_path / "out"), *arguments]
    assert main(asked) == 1
    assert capsys.readouterr().err.startswith("fastdepth quantize: ")
    assert not (tmp_path / "out").exists()


def test_the_verb_calibrates_on_a_bag(artifact_folder, tmp_path):
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from recorded import BAGS

    asked = ["quantize", "--model", str(artifact_folder), "--to", "int8", "--out", str(tmp_path / "out")]
    assert main([*asked, "--bag", str(BAGS["mcap"](tmp_path)), "--frames", "2"]) == 0
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())["precisions"]["int8"]
    assert facts["calibration"]["frames"] == 2


def test_a_file_outside_the_artifact_is_not_copied(artifact_folder, tmp_path):
    source = shutil.copytree(artifact_folder, tmp_path / "model")
    (tmp_path / "secret.txt").write_text("secret")
    manifest = json.loads((source / "manifest.json").read_text())
    digest = hashlib.sha256(b"secret").hexdigest()
    manifest["files"]["notes"] = {"file": "../secret.txt", "sha256": digest}
    (source / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FastDepthError, match=r"\.\./secret\.txt"):
        quantize_artifact(
            find_artifact(source), "fp16", tmp_path / "out", [np.zeros((224, 224, 3), np.uint8)], "none", 1
        )
    assert not (tmp_path / "out").exists()
