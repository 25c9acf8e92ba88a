"""The blocks that the networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.registry import Registry

KERNELS = Registry("kernel")


@KERNELS.register("standard")
def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    transposed: bool = False,
    batch_norm: bool = True,
    activation: type[nn.Module],
) -> nn.Sequential:
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
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    transposed: bool = False,
    batch_norm: bool = True,
    activation: type[nn.Module],
) -> nn.Sequential:
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
    """Nearest neighbor, twice the height and width."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def insert_zeros(x: Tensor) -> Tensor:
    """2x2 unpooling, twice the height and width: each pixel in the top left of a block of zeros."""
    spread = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype, device=x.device)
    spread[:, :, ::2, ::2] = x
    return spread
