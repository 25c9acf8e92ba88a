"""The golden frame catches a backend that no longer computes its network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from manifests import edit_manifest
from networks import fastdepth

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.golden import check_golden, golden_frame
from fastdepth_ros.artifact.record import golden_record
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.errors import FastDepthError

MODELS = Path(__file__).resolve().parents[1] / "models"
ONE_THREAD = BackendOptions(threads=1)


def test_the_golden_frame_never_changes():
    """Every manifest in the world holds its depth; another frame would refuse them all."""
    frame = golden_frame(224)
    assert frame.shape == (224, 224, 3)
    assert frame.dtype == np.uint8
    assert hashlib.sha256(frame.tobytes()).hexdigest() == (
        "54ce25d4b8cb4b55cf4af42c1124e1747dbd560e61adb964818a03828d4c5319"
    )


def test_the_golden_frame_differs_by_channel_and_under_each_mirror():
    frame = golden_frame(224).astype(int)
    for other in (frame[..., ::-1], frame[::-1], frame[:, ::-1], frame.transpose(1, 0, 2)):
        assert np.abs(frame - other).mean() > 10


def test_the_record_samples_the_depth_of_the_golden_frame(spoiled):
    engine = find_artifact(spoiled).load("onnxruntime", ONE_THREAD)
    record = golden_record(engine, fastdepth())
    sampled = np.array(record["depth_m"])
    assert sampled.shape == (14, 14)
    every = record["spacing_px"]
    np.testing.assert_allclose(
        sampled, engine.infer(golden_frame(224)).depth[every // 2 :: every, every // 2 :: every], atol=6e-5
    )
    assert np.unique(sampled).size > 10  # a flat record would prove nothing


def test_the_largest_difference_is_returned_or_over_the_tolerance_refused(spoiled):
    engine = find_artifact(spoiled).load("onnxruntime", ONE_THREAD)
    record = golden_record(engine, fastdepth())
    record["depth_m"][3][7] += 0.0008
    assert check_golden(engine, record, fastdepth()) == pytest.approx(0.0008, abs=1e-4)
    record["depth_m"][3][7] += 0.25
    with pytest.raises(FastDepthError, match=r"onnxruntime.* 0\.25\d+ m .*0\.001 m"):
        check_golden(engine, record, fastdepth())
    record["tolerance_m"] = 0.5
    check_golden(engine, record, fastdepth())


def test_another_network_under_the_same_manifest_is_refused(spoiled):
    """With the sha256 right again."""
    content = (MODELS / "red_to_depth.onnx").read_bytes()
    (spoiled / "model.onnx").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    edit_manifest(spoiled, lambda manifest: manifest["files"]["onnx"].update(sha256=sha256))
    with pytest.raises(FastDepthError, match=r"off by .* m"):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"depth_m": [[1.0]]},
        {"depth_m": [[1, 2], [3, 4]], "tolerance_m": 0.001},
        {"depth_m": [[10**400]], "tolerance_m": 0.001},
    ],
    ids=range(4),
)
def test_a_record_that_is_no_golden_record_is_refused(spoiled, record):
    edit_manifest(spoiled, lambda manifest: manifest.update(golden=record))
    with pytest.raises(FastDepthError):
        find_artifact(spoiled).load("onnxruntime", ONE_THREAD)
