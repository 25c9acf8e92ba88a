"""Manifest: version 1 is read on, and the schema is JSON schema."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import edit_manifest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.manifest import check, schema
from fastdepth_ros.backends import Outputs
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION_1: dict[str, Any] = {
    "version": 1,
    "input": {"shape": [1, 224, 224, 3], "dtype": "uint8", "layout": "NHWC", "channels": "RGB"},
    "output": {"shape": [1, 1, 224, 224], "dtype": "float32", "unit": "metre"},
    "preprocessing": {"field_of_view": "trained", "resize": "bilinear", "scaling": "1/255, inside the graph"},
    "trained_focal_px": {"fx": 198.9, "fy": 265.8},
}


def as_version_1(manifest: dict[str, Any], **changes: Any) -> None:
    for name in ("licence", "input", "outputs", "focal"):
        del manifest[name]
    manifest.update(VERSION_1 | changes)


def test_a_manifest_of_version_1_is_read_as_one_of_version_2(spoiled, artifact_folder):
    edit_manifest(spoiled, as_version_1)
    old, new = find_artifact(spoiled), find_artifact(artifact_folder)
    assert old.network == new.network and old.manifest["version"] == 2
    assert old.licence == "not stated"
    rgb = np.zeros((224, 224, 3), np.uint8)
    np.testing.assert_array_equal(old.load().infer(rgb).depth, new.load().infer(rgb).depth)


def test_a_manifest_of_version_1_without_a_focal_length_follows_no_lens(spoiled):
    edit_manifest(spoiled, lambda manifest: as_version_1(manifest, trained_focal_px=None))
    assert find_artifact(spoiled).network.focal_rule.name == "none"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("input", "shape", [1, 256, 320, 3]), ("input", "layout", "NCHW"), ("input", "channels", "BGR"),
        ("output", "unit", "millimetre"), ("output", "shape", [1, 1, 112, 112]),
    ],
)  # fmt: skip
def test_version_1_of_another_network_is_refused_with_what_differs(spoiled, section, key, value):
    edit_manifest(spoiled, lambda manifest: as_version_1(manifest, **{section: VERSION_1[section] | {key: value}}))
    with pytest.raises(FastDepthError) as refusal:
        find_artifact(spoiled)
    assert section in str(refusal.value) and str(value) in str(refusal.value)


def test_our_check_agrees_with_json_schema_on_spoiled_manifests(artifact_folder):
    """A value of another type or size in each field in turn: both refuse, or both allow."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(schema())
    standard = jsonschema.Draft202012Validator(schema())
    manifest = find_artifact(artifact_folder).manifest
    assert standard.is_valid(manifest)
    refused = 0
    for path in places(manifest):
        for value in (None, -1, 0.5, 10**6, "", "text", [], {}, True):
            changed = with_value(manifest, path, value)
            allowed = standard.is_valid(changed)
            refused += not allowed
            try:
                check(schema(), changed)
                assert allowed, (path, value)
            except FastDepthError:
                assert not allowed, (path, value)
    assert refused > 100


def places(found: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(found, dict):
        return [path]
    return [path, *(place for name, value in found.items() for place in places(value, (*path, name)))]


def with_value(found: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**found, path[0]: with_value(found[path[0]], path[1:], value)}


def test_what_people_write_is_read_as_utf_8_in_any_locale(spoiled):
    """The mechanism, and that no file of the package is read otherwise, but for those of the kernel."""
    path = spoiled / "manifest.json"
    path.write_text(path.read_text().replace('"name": "', '"name": "modèle '), encoding="utf-8")
    code = "import sys; from fastdepth_ros.artifact.artifact import find_artifact as find; find(sys.argv[1])"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(spoiled)], env=plain, check=True)
    bare = {file.stem for file in (ROOT / "fastdepth_ros").rglob("*.py") if ".read_text()" in file.read_text()}
    assert bare == {"shutdown", "cores", "native", "harness"}


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf")])
def test_a_number_beyond_float_is_refused(artifact_folder, value):
    manifest = find_artifact(artifact_folder).manifest
    with pytest.raises(FastDepthError, match="focal.fx is .*, it should be a finite number"):
        check(schema(), with_value(manifest, ("focal", "fx"), value))


def test_a_calibrated_confidence_is_a_probability_and_another_is_none():
    said = np.array([[0.0, 5.0, 10.0, 20.0]], np.float32)
    calibrated = Network(confidence=((0.0, 10.0), (0.2, 0.8)))
    np.testing.assert_allclose(calibrated.probability(said), [[0.2, 0.5, 0.8, 0.8]])
    assert Network().probability(said) is None
    assert calibrated.probability(Outputs(said).confidence) is None
    assert Network(confidence=((0.0, 1.0), (0.0, 1.0))).probability(said) is said
