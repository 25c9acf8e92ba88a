"""Weights and multiply-accumulates, counted as the paper does: convolution kernels only, no bias, no batch norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastdepth_ros.nn.fastdepth import INPUT_SIZE


@dataclass(frozen=True)
class Complexity:
    """Of one image: `weights` in convolution kernels, `macs` multiply-accumulates."""

    weights: int
    macs: int


def complexity(network: nn.Module, size_px: int = INPUT_SIZE) -> dict[str, Complexity]:
    """Count a network and each of its direct children (encoder, decoder, head).

    Args:
        network: takes (1, 3, size_px, size_px). It moves to the meta device and loses its values.

    Returns:
        Complexity by child; the whole network under "total".
    """
    network = network.to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size_px, size_px, device="meta"))
    flops = counter.get_flop_counts()
    root = type(network).__name__
    weights: dict[str, int] = {}
    macs: dict[str, int] = {}
    for path, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            for part in ("total", path.partition(".")[0]):
                weights[part] = weights.get(part, 0) + module.weight.numel()
                macs[part] = macs.get(part, 0) + sum(flops[f"{root}.{path}"].values()) // 2
    return {part: Complexity(weights[part], macs[part]) for part in weights}
