"""An artifact that is not what its manifest says is refused, and the refusal says what differs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import edit_manifest

from fastdepth_ros.artifact import DEFAULT_MODEL
from fastdepth_ros.artifact.artifact import find_artifact, sha256_of
from fastdepth_ros.artifact.manifest import MANIFEST
from fastdepth_ros.artifact.record import write_manifest
from fastdepth_ros.backends import BackendError, BackendOptions
from fastdepth_ros.depth.geometry import Focal
from fastdepth_ros.errors import FastDepthError

ONE_THREAD = BackendOptions(threads=1)
PYTORCH = pytest.mark.needs("torch")


def resign(folder: Path) -> None:
    """Put the sha256 of the files as they are now into the manifest."""

    def change(manifest: dict[str, Any]) -> None:
        for entry in manifest["files"].values():
            entry["sha256"] = hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest()

    edit_manifest(folder, change)


@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("pytorch", marks=PYTORCH)])
def test_an_untouched_artifact_loads_from_text_and_from_path(spoiled, backend):
    for model in (spoiled, str(spoiled)):
        artifact = find_artifact(model)
        assert artifact.network.input.shape == (224, 224)
        depth = artifact.load(backend, ONE_THREAD).infer(np.zeros((224, 224, 3), np.uint8)).depth
        assert depth.shape == (224, 224)


def test_a_missing_model_is_named():
    with pytest.raises(FastDepthError, match=r"no artifact at nowhere.*bundled"):
        find_artifact("nowhere")


def test_a_folder_without_a_manifest_is_refused(spoiled):
    (spoiled / MANIFEST).unlink()
    with pytest.raises(FastDepthError, match=MANIFEST):
        find_artifact(spoiled)


def test_a_file_is_not_an_artifact(spoiled):
    with pytest.raises(FastDepthError, match=r"model\.onnx"):
        find_artifact(spoiled / "model.onnx")


def test_a_path_below_a_folder_is_not_looked_up_among_the_bundled_ones(tmp_path):
    with pytest.raises(FastDepthError, match="no artifact at"):
        find_artifact(tmp_path / DEFAULT_MODEL)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"version: 1", b"\xff\xfe\x00", b"[" * 99_999, b'{"name": "\\ud800"}'], ids=range(6)
)
def test_a_manifest_that_is_not_json_is_refused(spoiled, content):
    (spoiled / MANIFEST).write_bytes(content)
    with pytest.raises(FastDepthError, match="no JSON"):
        find_artifact(spoiled)


@pytest.mark.parametrize("content", ["[]", "1", "null", '"text"', "{}"])
def test_json_that_is_no_manifest_is_refused(spoiled, content):
    (spoiled / MANIFEST).write_text(content)
    with pytest.raises(FastDepthError, match="lacks|should be an object"):
        find_artifact(spoiled)


@pytest.mark.parametrize("key", ["version", "name", "licence", "input", "outputs", "focal", "files"])
def test_a_manifest_without_a_key_is_refused_with_its_name(spoiled, key):
    edit_manifest(spoiled, lambda manifest: manifest.pop(key))
    with pytest.raises(FastDepthError, match=f"lacks {key}"):
        find_artifact(spoiled)


def test_a_manifest_of_another_version_is_refused(spoiled):
    edit_manifest(spoiled, lambda manifest: manifest.update(version=3))
    with pytest.raises(FastDepthError, match=r"version 3.*1 and 2"):
        find_artifact(spoiled)


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("input.height_px", 0, "input.height_px is 0, it should be 8 or more"),
        ("input.width_px", 224.5, "input.width_px is 224.5, it should be a whole number"),
        ("input.fit", "squeeze", "input.fit is 'squeeze', it should be one of 'stretch', 'crop', 'pad'"),
        ("input.view", "left", "it should be one of 'authors', 'frame'"),
        ("input.padding", [0, 0], "it should be 3 entries or more"),
        ("input.padding", [0, 0, 256], r"input.padding\[2\] is 256, it should be 255 or less"),
        ("outputs.depth.kind", "disparity", "one of 'depth', 'inverse depth'"),
        ("outputs.depth.metric", 1, "outputs.depth.metric is 1, it should be true or false"),
        ("outputs.depth.valid", [5, 1], r"outputs.depth.valid is \[5, 1\], it should rise"),
        ("outputs.normal", {}, "outputs has 'normal', there is depth, confidence"),
        ("outputs.confidence", {"calibration": {"said": [1, 0], "meant": [0, 1], "on": "x"}}, "said should rise"),
        ("focal.rule", "lens", "one of 'trained', 'canonical', 'input', 'none'"),
        ("focal", {"rule": "canonical"}, "focal lacks constant"),
        ("focal", {"rule": "canonical", "constant": 300}, "'stretch', which squeezes .* set fit to crop or pad"),
        ("licence", "", "licence is '', it should be 1 letters or more"),
    ],
)
def test_each_field_on_the_network_is_held_to_the_schema(spoiled, where, value, words):
    def change(manifest: dict[str, Any]) -> None:
        *path, name = where.split(".")
        for part in path:
            manifest = manifest[part]
        manifest[name] = value

    edit_manifest(spoiled, change)
    with pytest.raises(FastDepthError, match=words):
        find_artifact(spoiled)


@pytest.mark.parametrize("section", ["input", "outputs", "files", "focal"])
@pytest.mark.parametrize("value", ["text", None, 3])
def test_a_section_that_is_no_object_is_refused(spoiled, section, value):
    edit_manifest(spoiled, lambda manifest: manifest.update({section: value}))
    with pytest.raises(FastDepthError, match=section):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize("entry", [{"file": "model.onnx"}, {"sha256": "0" * 64}, "model.onnx"])
def test_a_file_entry_without_name_or_sha256_is_refused(spoiled, entry):
    edit_manifest(spoiled, lambda manifest: manifest["files"].update(onnx=entry))
    with pytest.raises(FastDepthError, match="onnx"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize(
    ("backend", "file"), [("onnxruntime", "model.onnx"), pytest.param("pytorch", "model.safetensors", marks=PYTORCH)]
)
def test_a_file_with_another_sha256_is_refused_with_both(spoiled, backend, file):
    recorded = hashlib.sha256((spoiled / file).read_bytes()).hexdigest()
    damaged = bytearray((spoiled / file).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (spoiled / file).write_bytes(damaged)
    with pytest.raises(FastDepthError) as refusal:
        find_artifact(spoiled).load(backend, ONE_THREAD)
    assert file in str(refusal.value)
    assert recorded in str(refusal.value)
    assert hashlib.sha256(damaged).hexdigest() in str(refusal.value)


def test_a_damaged_file_does_not_matter_to_the_other_backend(spoiled):
    (spoiled / "model.safetensors").write_bytes(b"damaged")
    find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


def test_a_file_that_is_missing_is_named(spoiled):
    (spoiled / "model.onnx").unlink()
    with pytest.raises(FastDepthError, match=r"model\.onnx.*missing"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize("where", ["../outside.onnx", "sub/model.onnx", "/{absolute}/model.onnx", "..", "."])
def test_a_file_outside_the_folder_is_refused_even_with_the_right_sha256(spoiled, where):
    shutil.copy(spoiled / "model.onnx", spoiled.parent / "outside.onnx")
    (spoiled / "sub").mkdir()
    shutil.copy(spoiled / "model.onnx", spoiled / "sub" / "model.onnx")
    where = where.replace("/{absolute}", str(spoiled.parent / "model" / "sub"))
    edit_manifest(spoiled, lambda manifest: manifest["files"]["onnx"].update(file=where))
    with pytest.raises(FastDepthError):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


def test_an_artifact_without_the_backends_format_says_what_it_has(spoiled):
    edit_manifest(spoiled, lambda manifest: manifest["files"].pop("onnx"))
    with pytest.raises(FastDepthError, match=r"no onnx file.*safetensors"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@PYTORCH
def test_a_format_that_is_absent_does_not_matter_to_the_other_backend(spoiled):
    edit_manifest(spoiled, lambda manifest: manifest["files"].pop("onnx"))
    find_artifact(spoiled).load("pytorch", ONE_THREAD)


def test_an_unknown_backend_lists_what_there_is(spoiled):
    with pytest.raises(BackendError, match=r"'tensorflow'.*onnxruntime.*pytorch"):
        find_artifact(spoiled).load("tensorflow")


def test_a_manifest_that_names_another_opset_is_refused_with_both(spoiled):
    edit_manifest(spoiled, lambda manifest: manifest["files"]["onnx"].update(opset=12))
    with pytest.raises(BackendError, match=r"opset 17.*12"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@pytest.mark.needs("onnx")
def test_a_file_of_another_input_size_is_refused_whatever_is_claimed(spoiled):
    import onnx

    model = onnx.load(spoiled / "model.onnx")
    for value, axes in ((model.graph.input[0], (1, 2)), (model.graph.output[0], (2, 3))):
        for axis in axes:
            value.type.tensor_type.shape.dim[axis].dim_value = 160
    del model.graph.value_info[:]
    onnx.save(model, spoiled / "model.onnx")
    resign(spoiled)
    with pytest.raises(BackendError, match=r"160.*224"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


def test_sha256_of_a_file_is_the_one_that_everybody_computes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "file") == expected


def test_a_manifest_is_written_whole_and_read_back_equal(tmp_path):
    manifest = {"name": "x", "numbers": [[1.5, 2], [3, 4]], "text": "[1,\n  2]  [ spaced   out ]", "none": None}
    write_manifest(tmp_path, {"older": True})
    write_manifest(tmp_path, manifest)
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
    assert json.loads((tmp_path / MANIFEST).read_text()) == manifest


def test_the_trained_focal_length_is_read_and_may_be_missing(spoiled):
    assert find_artifact(DEFAULT_MODEL).trained_focal == find_artifact(spoiled).trained_focal == Focal(198.9, 265.8)
    edit_manifest(spoiled, lambda manifest: manifest.update(focal={"rule": "none"}))
    assert find_artifact(spoiled).trained_focal is None


@pytest.mark.parametrize("value", [200.0, {"fx": 200.0}, {"fx": 200.0, "fy": 0}, {"fx": "200", "fy": 200.0}], ids=str)
def test_a_trained_focal_length_that_is_none_is_refused(spoiled, value):
    focal = {"rule": "trained", **value} if isinstance(value, dict) else value
    edit_manifest(spoiled, lambda manifest: manifest.update(focal=focal))
    with pytest.raises(FastDepthError, match="focal"):
        find_artifact(spoiled)


def test_a_model_outside_the_allowed_folder_is_refused_also_through_a_link(spoiled, tmp_path):
    allowed = tmp_path / "allowed"
    inside = Path(shutil.copytree(spoiled, allowed / "inside"))
    (allowed / "link").symlink_to(spoiled)
    assert find_artifact(inside, allowed).folder == inside
    assert find_artifact("", allowed).name == DEFAULT_MODEL
    for model in (spoiled, allowed / "link", allowed / "inside" / ".." / ".." / spoiled.name, f"{allowed}/../model"):
        with pytest.raises(FastDepthError, match="is not below .*allowed"):
            find_artifact(model, allowed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 5}, "name is 5, it should be a text"),
        ({"macs": "many"}, "macs is 'many', it should be a whole number"),
        ({"weights": True}, "weights is True, it should be a whole number"),
        ({"accuracy": {"nyu": {"delta1": "high"}}}, "accuracy.nyu.delta1 is 'high', it should be a number"),
        ({"golden": [1]}, r"golden is \[1\], it should be an object"),
        ({"files": {"onnx": {"file": 1, "sha256": ""}}}, "files.onnx.file is 1, it should be a text"),
        ({"precisions": {"int8": {"golden": 3}}}, "precisions.int8.golden is 3, it should be an object"),
    ],
)
def test_each_field_of_a_manifest_is_held_to_its_type(spoiled, change, words):
    edit_manifest(spoiled, lambda manifest: manifest.update(change))
    with pytest.raises(FastDepthError, match=words):
        find_artifact(spoiled)
