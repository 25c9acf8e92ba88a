"""Networks small enough that a test trains, exports or prunes them in a second."""

from __future__ import annotations

import torch

from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.network import FastDepth, initialize

TINY = Channels((4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8), (8, 8, 8, 8, 4))
UNEVEN = Channels((4, 6, 5, 7, 5, 8, 6, 5, 4, 5, 6, 7, 8, 9), (7, 8, 7, 6, 4))
PRUNABLE = Channels((8, 16, 8, 16, 8, 16, 8, 8, 8, 8, 8, 8, 8, 16), (16, 16, 16, 16, 8))


def fresh(channels: Channels = TINY, seed: int = 0) -> FastDepth:
    """The first weights that a seed gives, to be trained."""
    network = FastDepth(channels)
    initialize(network, seed=seed)
    return network


def lively(channels: Channels = TINY) -> FastDepth:
    """A random network whose depth varies by meters, in eval mode."""
    network = FastDepth(channels)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5, generator=generator)
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.bias.normal_(0.3, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.7, 1.6, generator=generator)
        network.head.bias.fill_(1.5)
    return network.eval()


def confident(form: str = "laplace", channels: Channels = TINY) -> FastDepth:
    """`lively` with a random head of its confidence, whose values are spread over [0, 1]."""
    network = lively(channels)
    head = network.add_confidence(form, calibrated_on="noise")
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weights in head.parameters():
            weights.normal_(0, 0.6, generator=generator)
        head.last.bias.fill_(-1.0 if form == "laplace" else 0.5)
    return network
