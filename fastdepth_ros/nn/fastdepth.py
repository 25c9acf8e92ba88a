"""FastDepth: MobileNet encoder, NNConv5 depthwise decoder, additive skips (Wofk et al., ICRA 2019, Fig. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.channels import ENCODER_STRIDES, SKIPS, Channels
from fastdepth_ros.nn.layers import conv_bn, separable

INPUT_SIZE = 224


class FastDepth(nn.Module):
    """RGB in [0, 1] to metres.

    Args:
        channels: output channels per layer.
        batch_norm: False builds the folded form, whose convolutions have biases instead.
    """

    def __init__(self, channels: Channels, *, batch_norm: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.encoder = nn.ModuleList()
        inputs = 3
        for layer, (outputs, stride) in enumerate(zip(channels.encoder, ENCODER_STRIDES)):
            if layer == 0:
                block = conv_bn(inputs, outputs, 3, stride=stride, batch_norm=batch_norm, activation=nn.ReLU6())
            else:
                block = separable(inputs, outputs, 3, stride=stride, batch_norm=batch_norm, activation=nn.ReLU6)
            self.encoder.append(block)
            inputs = outputs
        self.decoder = nn.ModuleList()
        for outputs in channels.decoder:
            self.decoder.append(separable(inputs, outputs, 5, batch_norm=batch_norm, activation=nn.ReLU))
            inputs = outputs
        self.head = nn.Conv2d(inputs, 1, 1)

    def features(self, rgb: Tensor) -> Tensor:
        """Everything before the last upsample: (N, 3, 224, 224) to (N, C, 112, 112)."""
        x, kept = rgb, {}
        for layer, block in enumerate(self.encoder):
            x = block(x)  # 112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7
            if layer in SKIPS:
                kept[SKIPS[layer]] = x
        for layer, block in enumerate(self.decoder, start=1):
            x = block(x)  # (N, decoder[layer], 7 * 2 ** (layer - 1), ...)
            if layer < len(self.decoder):
                x = upsample(x)
            if layer in kept:
                x = x + kept[layer]
        return x

    def half_resolution(self, rgb: Tensor) -> Tensor:
        """The 112x112 map of which `forward` repeats each pixel 2x2: 1x1 and ReLU commute with nearest upsampling.

        Args:
            rgb: (N, 3, 224, 224) float, [0, 1].

        Returns:
            (N, 1, 112, 112) metres.
        """
        return functional.relu(self.head(self.features(rgb)))

    def forward(self, rgb: Tensor) -> Tensor:
        """As the paper draws it: (N, 3, 224, 224) in [0, 1] to (N, 1, 224, 224) metres."""
        return functional.relu(self.head(upsample(self.features(rgb))))


def upsample(x: Tensor) -> Tensor:
    """Nearest neighbour, twice the height and width."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def initialise(network: FastDepth, *, mean_depth_m: float = 2.7, seed: int = 0) -> None:
    """He-normal kernels; a head that starts at the mean depth, where no output is clipped by the last ReLU."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(network.head.weight, std=0.01, generator=generator)
    nn.init.constant_(network.head.get_parameter("bias"), mean_depth_m)
