"""The network as a robot runs it: uint8 pixels in, scaling inside, the head before the last upsample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastdepth_ros.nn.checkpoints import folded
from fastdepth_ros.nn.fastdepth import FastDepth
from fastdepth_ros.nn.layers import upsample
from fastdepth_ros.nn.network import DepthNetwork


class Deployed(nn.Module):
    """Computes what `FastDepth` computes, from the resized camera frame as it lies in memory.

    Batch norm is folded, 1/255 is folded into the first kernel, and the last 1x1 convolution and its ReLU run at
    112x112: both act on each pixel alone, so they commute with the nearest upsample that follows.
    """

    def __init__(self, network: FastDepth) -> None:
        super().__init__()
        self.network = folded(network)
        with torch.no_grad():
            self.network.encoder[0].get_parameter("conv.weight").div_(255)

    def forward(self, rgb: Tensor) -> Tensor:
        """uint8 (N, 224, 224, 3) to float32 metres (N, 1, 224, 224)."""
        return upsample(self.network.half_resolution(rgb.permute(0, 3, 1, 2).float()))


class DeployedVariant(nn.Module):
    """Any other variant as it is, from the same input."""

    def __init__(self, network: DepthNetwork) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor) -> Tensor:
        """uint8 (N, 224, 224, 3) to float32 metres (N, 1, 224, 224)."""
        return self.network(rgb.permute(0, 3, 1, 2).float() / 255)


def deployed(network: DepthNetwork) -> nn.Module:
    """What a backend runs of a network."""
    return Deployed(network) if isinstance(network, FastDepth) else DeployedVariant(network)
