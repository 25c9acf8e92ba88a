"""The head of a network's confidence: a second output that leaves the depth alone, in every form that is run."""

from __future__ import annotations

import json
from math import exp, log

import numpy as np
import pytest
import torch
from small_networks import UNEVEN, confident, lively

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.golden import golden_frame
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.deploy.export import export_artifact
from fastdepth_ros.nn.checkpoints import folded, load_checkpoint, save_checkpoint
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.confidence import FORMS, ConfidenceHead
from fastdepth_ros.nn.deployed import deployed
from fastdepth_ros.nn.network import DepthNetwork

NOISE = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
PICTURES = (golden_frame(224), NOISE)


def run(network, rgb=NOISE):
    with torch.inference_mode():
        return [output[0, 0].numpy() for output in deployed(network)(torch.from_numpy(rgb)[None])]


@pytest.mark.parametrize("form", FORMS)
def test_the_depth_is_the_same_to_the_last_bit_with_the_head_and_without(form):
    (plain,), (depth, confidence) = run(lively(UNEVEN)), run(confident(form, UNEVEN))
    np.testing.assert_array_equal(depth, plain)
    assert confidence.shape == (224, 224) and confidence.std() > 0.02
    assert confidence.min() >= 0 and confidence.max() <= 1


def test_a_laplace_head_says_the_share_of_it_within_the_factor():
    head = ConfidenceHead([1, 1, 1], "laplace")
    log_b = torch.tensor([-2.0, 0.0, 1.0])
    expected = [1 - exp(-log(1.25) / exp(value)) for value in log_b.tolist()]
    np.testing.assert_allclose(head.probability(log_b), expected, rtol=1e-5)
    errors = torch.tensor(np.random.default_rng(0).laplace(0, 0.3, 200_000), dtype=torch.float32)
    losses = [float(head.loss(torch.full_like(errors, log(b)), errors)) for b in (0.2, 0.3, 0.45)]
    assert losses[1] < min(losses[0], losses[2])
    with pytest.raises(ValueError, match="laplace, logit"):
        ConfidenceHead([1], "normal")


@pytest.mark.parametrize("form", FORMS)
def test_rescaling_changes_the_last_convolution_and_keeps_the_pixels_order(form):
    network = confident(form)
    before = run(network)[1].ravel()
    network.confidence.rescale(0.5, 0.3)
    after = run(network)[1].ravel()
    order = np.argsort(before, kind="stable")
    order = order[(before[order] > 1e-3) & (before[order] < 1 - 1e-3)]  # further out the head's output is clamped
    assert (np.diff(after[order]) >= -1e-6).all() and not np.allclose(before, after, atol=0.01)


def test_a_checkpoint_brings_the_head_back_and_leaves_the_depth_as_it_was(tmp_path):
    network, plain = confident("logit", UNEVEN), lively(UNEVEN)
    save_checkpoint(network, tmp_path / "with.safetensors")
    loaded, notes = load_checkpoint(tmp_path / "with.safetensors")
    assert loaded.confidence.description() == {"form": "logit", "hidden": 8, "calibrated_on": "noise", "maps": 2}
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=0, rtol=0)
    np.testing.assert_array_equal(run(loaded)[1], run(network)[1])
    np.testing.assert_allclose(run(folded(loaded))[1], run(network)[1], atol=1e-5)
    assert json.loads(notes["confidence"])["form"] == "logit"


def test_a_head_on_three_maps_that_does_not_say_so_comes_back(tmp_path):
    network = lively(UNEVEN)
    head = network.add_confidence("laplace", maps=3)
    expected = run(network)[1]
    head.description = lambda: {"form": "laplace", "hidden": 8, "calibrated_on": ""}
    save_checkpoint(network, tmp_path / "three.safetensors")
    loaded, _ = load_checkpoint(tmp_path / "three.safetensors")
    assert loaded.confidence.description()["maps"] == 3
    np.testing.assert_array_equal(run(loaded)[1], expected)


def test_a_variant_takes_a_head_too(tmp_path):
    network = DepthNetwork.of("mobilenet_v2", "upconv", kernel="depthwise", skip="concat").eval()
    network.add_confidence("logit")
    save_checkpoint(network, tmp_path / "variant.safetensors")
    loaded, _ = load_checkpoint(tmp_path / "variant.safetensors")
    assert [output.shape for output in run(loaded)] == [(224, 224)] * 2


def test_the_head_is_no_part_of_the_weights_and_work_that_the_paper_counts():
    assert complexity(confident())["total"] == complexity(lively())["total"]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "pytorch"])
def test_every_engine_gives_the_same_depth_and_confidence(backend, confident_folder, artifact_folder):
    pytest.importorskip({"openvino": "openvino"}.get(backend, "torch"), reason=f"{backend} is not installed")
    one_thread = BackendOptions(threads=1)
    engine, plain = (find_artifact(each).load(backend, one_thread) for each in (confident_folder, artifact_folder))
    for rgb in PICTURES:
        depth, confidence = run(confident(), rgb)
        found = engine.infer(rgb)
        np.testing.assert_allclose(found.depth, depth, atol=1e-4)
        np.testing.assert_allclose(found.depth, plain.infer(rgb).depth, atol=1e-4)
        np.testing.assert_allclose(found.confidence, confidence, atol=1e-4)


def test_the_manifest_says_what_the_confidence_was_calibrated_on(confident_folder, tmp_path):
    artifact = find_artifact(confident_folder)
    assert artifact.confidence_state == "calibrated on noise" and artifact.network.confidence == ((0, 1), (0, 1))
    network = confident()
    network.confidence.calibrated_on = ""
    export_artifact(network, tmp_path / "raw", {})
    assert find_artifact(tmp_path / "raw").confidence_state == "uncalibrated"


@pytest.mark.parametrize(("precision", "off_m", "off"), [("int8", 1e-3, 0.1), ("fp16", 1e-3, 0.02)])
def test_in_less_precision_the_depth_is_that_without_the_head(
    precision, off_m, off, confident_folder, artifact_folder, tmp_path
):
    from fastdepth_ros.deploy.quantize import quantize_artifact

    engines = []
    for name, folder in (("with", confident_folder), ("without", artifact_folder)):
        quantize_artifact(find_artifact(folder), precision, tmp_path / name, PICTURES, "noise", 1)
        options = BackendOptions(threads=1, precision=precision)
        engines.append(find_artifact(tmp_path / name).load("onnxruntime", options))
    for rgb in PICTURES:
        found, plain = (engine.infer(rgb) for engine in engines)
        np.testing.assert_allclose(found.depth, plain.depth, atol=off_m)
        assert np.abs(found.confidence - run(confident(), rgb)[1]).mean() < off


@pytest.mark.needs("tvm")
def test_tvm_compiles_the_depth_and_says_that_it_has_no_confidence(confident_folder, compiled_folder, tmp_path):
    from fastdepth_ros.deploy.compile import compile_artifact
    from fastdepth_ros.deploy.targets import find_target

    compile_artifact(find_artifact(confident_folder), find_target("host"), tmp_path / "compiled")
    compiled = find_artifact(tmp_path / "compiled")
    assert compiled.confidence_state == "none"
    found = compiled.load("tvm", BackendOptions(threads=1)).infer(NOISE)
    assert found.confidence is None
    np.testing.assert_allclose(found.depth, run(lively())[0], atol=1e-4)
