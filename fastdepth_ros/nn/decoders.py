"""One decoder layer for each way to upsample (Fig. 5): twice the height and width, another number of channels.

All of them convolve 5x5; `kernel` says whether standard or depthwise separable.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from fastdepth_ros.nn.layers import KERNELS, insert_zeros, upsample
from fastdepth_ros.nn.registry import Registry

DECODERS = Registry("decoder")


@DECODERS.register("nnconv5")
class NNConv5(nn.Sequential):
    """Convolution, then nearest neighbor: the convolution runs at a quarter of the others' resolution."""

    def __init__(self, inputs: int, outputs: int, *, kernel: str, batch_norm: bool = True) -> None:
        block = KERNELS[kernel](inputs, outputs, 5, batch_norm=batch_norm, activation=nn.ReLU)
        super().__init__(OrderedDict(block.named_children()))

    def convolve(self, x: Tensor) -> Tensor:
        """Everything before the upsample: (N, inputs, H, W) to (N, outputs, H, W)."""
        return super().forward(x)

    def forward(self, x: Tensor) -> Tensor:
        return upsample(self.convolve(x))  # (N, outputs, 2H, 2W)


@DECODERS.register("deconv5")
class DeConv5(nn.Sequential):
    """Transposed convolution, stride 2."""

    def __init__(self, inputs: int, outputs: int, *, kernel: str, batch_norm: bool = True) -> None:
        block = KERNELS[kernel](
            inputs, outputs, 5, stride=2, transposed=True, batch_norm=batch_norm, activation=nn.ReLU
        )
        super().__init__(OrderedDict(block.named_children()))


@DECODERS.register("upconv")
class UpConv(nn.Sequential):
    """Zero-insertion, then convolution (Laina et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: str, batch_norm: bool = True) -> None:
        block = KERNELS[kernel](inputs, outputs, 5, batch_norm=batch_norm, activation=nn.ReLU)
        super().__init__(OrderedDict(block.named_children()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(insert_zeros(x))  # (N, outputs, 2H, 2W)


@DECODERS.register("upproj")
class UpProj(nn.Module):
    """Zero-insertion, then a residual pair of branches: 5x5 and 3x3 beside 5x5 (Laina et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: str, batch_norm: bool = True) -> None:
        super().__init__()
        block = KERNELS[kernel]
        self.first = block(inputs, outputs, 5, batch_norm=batch_norm, activation=nn.ReLU)
        self.second = block(outputs, outputs, 3, batch_norm=batch_norm, activation=nn.Identity)
        self.shortcut = block(inputs, outputs, 5, batch_norm=batch_norm, activation=nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        x = insert_zeros(x)  # (N, inputs, 2H, 2W)
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))  # (N, outputs, 2H, 2W)
