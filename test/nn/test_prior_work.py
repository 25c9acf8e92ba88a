"""The prior work of Table I runs, and has the resolutions that its authors describe."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.paper.prior_work import PRIOR, prior_work

OUTPUTS = {
    "eigen2014": (55, 74),
    "eigen2015-alexnet": (109, 147),
    "eigen2015-vgg": (109, 147),
    "laina2016-upconv": (128, 160),
    "laina2016-upproj": (128, 160),
    "xian2018": (384, 384),
}
ANY_SIZE = ("laina2016-upconv", "laina2016-upproj", "xian2018")  # without fully connected layers: run small here


def on_cpu(name: str) -> nn.Module:
    """Cheap random weights: the values of 217 million matter less than the seconds that good ones take."""
    with torch.device("meta"):
        network = prior_work(name)
    network = network.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
        row = torch.randn(parameter.shape[-1], generator=generator) / fan_in**0.5
        parameter.data.copy_(row.expand_as(parameter))
    for name_, buffer in network.named_buffers():
        buffer.fill_(1 if name_.endswith("var") else 0)
    return network


def test_all_six_are_there_and_an_unknown_name_lists_them():
    assert PRIOR.names() == list(OUTPUTS)
    with pytest.raises(ValueError, match="unknown prior work 'ranftl2020'; there is eigen2014, .*, xian2018"):
        prior_work("ranftl2020")


@pytest.mark.parametrize("name", OUTPUTS)
def test_its_output_has_the_size_that_its_authors_chose(name):
    with torch.device("meta"):
        network = prior_work(name).eval()
        assert network(torch.empty(1, 3, *network.input_px)).shape == (1, 1, *OUTPUTS[name])


@torch.inference_mode()
@pytest.mark.parametrize("name", OUTPUTS)
def test_it_runs_forward_on_the_cpu(name):
    network = on_cpu(name)
    height, width = (64, 96) if name in ANY_SIZE else network.input_px
    depth = network(torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)))
    assert depth.shape[:2] == (1, 1)
    assert depth.isfinite().all()


def test_the_parts_of_eigen_and_fergus_are_what_the_explanation_says():
    with torch.device("meta"):
        network = prior_work("eigen2015-vgg")
    parts = complexity(network, network.input_px)
    vgg = complexity(nn.Sequential(network.scale1[:-6]), network.input_px)["total"]
    assert f"{vgg.macs / 1e9:.2f}" == "21.05"
    assert len([layer for layer in network.scale1 if isinstance(layer, nn.Conv2d)]) == 13
    assert f"{sum(parts[part].macs for part in ('edges3', 'scale3')) / 1e9:.2f}" == "4.53"
    assert f"{sum(parts[part].macs for part in ('scale1', 'edges2', 'scale2')) / 1e9:.2f}" == "23.52"


def test_each_has_the_weights_of_its_trunk():
    with torch.device("meta"):
        laina, xian = prior_work("laina2016-upproj"), prior_work("xian2018")
    for network in (laina, xian):
        assert complexity(network, network.input_px)["encoder"].weights == 23_454_912  # ResNet-50 without fc
