"""The layers of a FastDepth network as shapes: what a lookup table of layer costs is asked for."""

from __future__ import annotations

from typing import NamedTuple

from fastdepth_ros.nn.channels import ENCODER_STRIDES, SKIPS, Channels

INPUT_PX = 224


class LayerShape(NamedTuple):
    """One layer at batch 1.

    Attributes:
        kind: "conv", "depthwise", or "upsample" (nearest, twice the size, with the skip's addition where there is one).
        in_h, in_w: pixels that it reads.
    """

    kind: str
    in_channels: int
    in_h: int
    in_w: int
    out_channels: int
    kernel: int
    stride: int

    @property
    def weights(self) -> int:
        inputs = {"conv": self.in_channels, "depthwise": 1, "upsample": 0}[self.kind]
        return inputs * self.out_channels * self.kernel**2

    @property
    def macs(self) -> int:
        return self.weights * (self.in_h // self.stride) * (self.in_w // self.stride)


def layer_shapes(channels: Channels, *, head_px: int = INPUT_PX) -> list[LayerShape]:
    """All layers in the order in which they run; batch norms and activations are folded into them.

    Args:
        head_px: side of what the last 1x1 convolution reads: 224 as the paper counts it, 112 as it is deployed.
    """
    first, *rest = channels.encoder
    shapes = [LayerShape("conv", 3, INPUT_PX, INPUT_PX, first, 3, ENCODER_STRIDES[0])]
    inputs, side = first, INPUT_PX // ENCODER_STRIDES[0]
    for outputs, stride in zip(rest, ENCODER_STRIDES[1:]):
        shapes.append(LayerShape("depthwise", inputs, side, side, inputs, 3, stride))
        side //= stride
        shapes.append(LayerShape("conv", inputs, side, side, outputs, 1, 1))
        inputs = outputs
    for outputs in channels.decoder:
        shapes.append(LayerShape("depthwise", inputs, side, side, inputs, 5, 1))
        shapes.append(LayerShape("conv", inputs, side, side, outputs, 1, 1))
        inputs = outputs
        if side < head_px:
            shapes.append(LayerShape("upsample", inputs, side, side, inputs, 1, 1))
            side *= 2
    shapes.append(LayerShape("conv", inputs, side, side, 1, 1, 1))
    return shapes


def tied(part: str, number: int) -> list[tuple[str, int]]:
    """The layers whose channels a layer's output is added to, itself among them; both parts count from 0."""
    for encoder, decoder in SKIPS.items():
        pair = [("encoder", encoder), ("decoder", decoder - 1)]
        if (part, number) in pair:
            return pair
    return [(part, number)]
