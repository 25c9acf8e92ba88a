"""The committed small models are what today's exporter makes: tests on them are tests of it."""

from __future__ import annotations

import json

import onnx
from networks import fastdepth
from small_models import RED, TINY, export_tiny, red_to_depth

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.manifest import MANIFEST
from fastdepth_ros.artifact.record import require_agreement
from fastdepth_ros.backends import BackendOptions

REMEDY = "run python test/small_models.py"


def test_the_tiny_artifact_is_what_export_makes(tmp_path):
    export_tiny(tmp_path / "tiny")
    committed, made = (json.loads((folder / MANIFEST).read_text()) for folder in (TINY, tmp_path / "tiny"))
    for manifest in (committed, made):
        del manifest["made_with"], manifest["golden"]["depth_m"]
        for file in manifest["files"].values():
            del file["sha256"]  # of the weights and the release of torch
    assert committed == made, REMEDY
    for backend in ("onnxruntime", "pytorch"):
        one, other = (
            find_artifact(folder).load(backend, BackendOptions(threads=1)) for folder in (TINY, tmp_path / "tiny")
        )
        require_agreement(one, other, fastdepth(), f"{REMEDY}: the network differs")


def test_the_known_network_is_what_its_source_says():
    assert onnx.load(RED) == red_to_depth(), REMEDY
