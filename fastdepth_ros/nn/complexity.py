"""Weights and multiply-accumulates, counted as the paper does: kernels only, no bias, no batch norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastdepth_ros.nn.channels import INPUT_PX

COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Complexity:
    """Complexity for one image: `weights` in kernels, `macs` multiply-accumulates."""

    weights: int
    macs: int


def complexity(network: nn.Module, size_px: int | tuple[int, int] = INPUT_PX) -> dict[str, Complexity]:
    """Count the convolutions and fully connected layers of a network and of each of its direct children.

    A transposed convolution is counted at its input: each pixel meets each weight once.

    Args:
        network: takes (1, 3, height, width). It moves to the meta device and loses its values.
        size_px: height and width; one number for both.

    Returns:
        Complexity by child (encoder, decoder, head); the whole network under "total".

    >>> complexity(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1)), 4)["total"]
    Complexity(weights=216, macs=3456)
    """
    height_px, width_px = (size_px, size_px) if isinstance(size_px, int) else size_px
    network = network.to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, height_px, width_px, device="meta"))
    flops = counter.get_flop_counts()
    root = type(network).__name__
    weights: dict[str, int] = {}
    macs: dict[str, int] = {}
    for path, module in network.named_modules():
        if isinstance(module, COUNTED) and f"{root}.{path}" in flops:  # confidence is no part of `forward`
            for part in ("total", path.partition(".")[0]):
                weights[part] = weights.get(part, 0) + module.weight.numel()
                macs[part] = macs.get(part, 0) + sum(flops[f"{root}.{path}"].values()) // 2
    return {part: Complexity(weights[part], macs[part]) for part in weights}
