"""FastDepth: MobileNet encoder, NNConv5 depthwise decoder, additive skips (Wofk et al., ICRA 2019, Fig. 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.encoders import MobileNet
from fastdepth_ros.nn.network import DepthNetwork

INPUT_SIZE = 224


class FastDepth(DepthNetwork):
    """The variant that the paper ends with, of any channel list.

    Args:
        channels: output channels per layer.
        batch_norm: False builds the folded form, whose convolutions have biases instead.
    """

    encoder: MobileNet

    def __init__(self, channels: Channels, *, batch_norm: bool = True) -> None:
        encoder = MobileNet(channels.encoder, batch_norm=batch_norm)
        super().__init__(encoder, widths=channels.decoder, batch_norm=batch_norm)
        self.channels = channels

    def description(self) -> dict[str, Any]:
        return {"channels": self.channels.as_mapping()}


def initialize(network: DepthNetwork, *, mean_depth_m: float = 2.7, seed: int = 0) -> None:
    """He-normal kernels; a head that starts at the mean depth, where no output is clipped by the last ReLU."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(network.head.weight, std=0.01, generator=generator)
    nn.init.constant_(network.head.get_parameter("bias"), mean_depth_m)
