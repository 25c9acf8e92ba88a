"""Steps from ONNX: all that can be folded is folded, and unsupported operators are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.deploy.export import write_onnx
from fastdepth_ros.deploy.steps import IMAGE, Term, read_plan
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import PRUNED
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.encoders import MobileNet
from fastdepth_ros.nn.network import DepthNetwork, FastDepth

ENCODER, WIDTHS = (4, 6, 5, 7, 5, 8, 6, 5, 4, 5, 6, 7, 8, 9), (7, 8, 7, 6, 4)


def plan_of(tmp_path, **parts: str):
    network = DepthNetwork(MobileNet(ENCODER), widths=WIDTHS, **parts).eval()
    write_onnx(network, tmp_path / "model.onnx")
    return read_plan(tmp_path / "model.onnx")


def test_the_default_model_is_its_convolutions_and_nothing_else():
    plan = read_plan(find_artifact().model_file("onnx").path)
    assert [step.kind for step in plan.steps[:3]] == ["standard", "depthwise", "pointwise"]
    assert len(plan.steps) == 1 + 2 * 13 + 2 * 5 + 1
    with torch.device("meta"):
        counts = complexity(FastDepth(PRUNED))
    head_macs = PRUNED.decoder[-1] * 112**2
    assert sum(step.macs for step in plan.steps) == counts["total"].macs - 3 * head_macs  # the head at 112 x 112
    assert sum(step.weight.size for step in plan.steps) == counts["total"].weights


def test_upsampling_and_skips_are_read_by_the_next_depthwise():
    steps = read_plan(find_artifact().model_file("onnx").path).steps
    summed = [step for step in steps if len(step.terms) > 1]
    assert [step.in_size_px for step in summed] == [28, 56, 112]
    assert all([term.scale for term in step.terms] == [2, 1] and step.kind == "depthwise" for step in summed)


def test_activations_are_in_their_convolutions():
    steps = read_plan(find_artifact().model_file("onnx").path).steps
    assert {(step.low, step.high) for step in steps[:27]} == {(0.0, 6.0)}
    assert {(step.low, step.high) for step in steps[27:]} == {(0.0, np.inf)}


@pytest.mark.parametrize("kernel", ["standard", "depthwise"])
@pytest.mark.parametrize("skip", ["none", "add"])
def test_the_head_of_any_variant_runs_before_the_last_upsample(tmp_path, kernel, skip):
    plan = plan_of(tmp_path, kernel=kernel, skip=skip)
    assert plan.depth.scale == 2
    assert plan.steps[-1].out_size_px == 112
    assert plan.steps[0].terms == (Term(IMAGE),)


@pytest.mark.parametrize(
    ("parts", "operation"), [({"decoder": "deconv5"}, "ConvTranspose"), ({"skip": "concat"}, "Concat")]
)
def test_a_network_of_other_operations_is_refused_by_their_name(tmp_path, parts, operation):
    with pytest.raises(FastDepthError, match=operation):
        plan_of(tmp_path, **parts)
