"""The three blocks that FastDepth is made of."""

from __future__ import annotations

from torch import nn


def conv_bn(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, batch_norm: bool, activation: nn.Module
) -> nn.Sequential:
    """Convolution ("same" padding), batch norm, activation. Without batch norm the convolution has a bias."""
    block = nn.Sequential()
    block.add_module(
        "conv", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not batch_norm)
    )
    if batch_norm:
        block.add_module("bn", nn.BatchNorm2d(outputs))
    block.add_module("act", activation)
    return block


def separable(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, batch_norm: bool, activation: type[nn.Module]
) -> nn.Sequential:
    """Depthwise separable convolution: kernel x kernel per channel, then 1x1 across channels."""
    block = nn.Sequential()
    block.add_module(
        "dw",
        conv_bn(inputs, inputs, kernel, stride=stride, groups=inputs, batch_norm=batch_norm, activation=activation()),
    )
    block.add_module("pw", conv_bn(inputs, outputs, 1, batch_norm=batch_norm, activation=activation()))
    return block
