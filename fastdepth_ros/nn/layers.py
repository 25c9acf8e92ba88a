"""The blocks that the networks are made of, and one decoder layer for each way to upsample (Fig. 5).

A decoder layer doubles height and width and changes the number of channels. All of them convolve 5x5; `kernel` says
whether standard or depthwise separable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.registry import Registry

KERNELS = Registry[Callable[..., Any]]("kernel")


@KERNELS.register("standard")
def conv_bn(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, transposed: bool = False,
    batch_norm: bool = True, activation: type[nn.Module],
) -> nn.Sequential:  # fmt: skip
    """Convolution ("same" padding), batch norm, activation. Without batch norm the convolution has a bias.

    Args:
        transposed: upsample by `stride` instead, to exactly `stride` times the size.
    """
    block = nn.Sequential()
    conv: nn.Module
    if transposed:
        conv = nn.ConvTranspose2d(
            inputs, outputs, kernel, stride, kernel // 2, stride - 1, groups=groups, bias=not batch_norm
        )
    else:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not batch_norm)
    block.add_module("conv", conv)
    if batch_norm:
        block.add_module("bn", nn.BatchNorm2d(outputs))
    block.add_module("act", activation())
    return block


@KERNELS.register("depthwise")
def separable(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, transposed: bool = False, batch_norm: bool = True,
    activation: type[nn.Module],
) -> nn.Sequential:  # fmt: skip
    """Depthwise separable convolution: kernel x kernel per channel, then 1x1 across channels."""
    block = nn.Sequential()
    block.add_module(
        "dw",
        conv_bn(
            inputs, inputs, kernel, stride=stride, groups=inputs, transposed=transposed, batch_norm=batch_norm,
            activation=activation,
        ),
    )  # fmt: skip
    block.add_module("pw", conv_bn(inputs, outputs, 1, batch_norm=batch_norm, activation=activation))
    return block


def upsample(x: Tensor) -> Tensor:
    """Nearest neighbor, twice the height and width.

    >>> upsample(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def insert_zeros(x: Tensor) -> Tensor:
    """2x2 unpooling, twice the height and width: each pixel in the top left of a block of zeros.

    >>> insert_zeros(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    """
    spread = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype, device=x.device)
    spread[:, :, ::2, ::2] = x
    return spread


DECODERS = Registry[Callable[..., Any]]("decoder")


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
