"""Channel lists: how many filters each layer of a FastDepth network has, and the shapes of the layers that this makes.

A list is the pair of what the paper's Fig. 6 plots: the output channels of the encoder's fourteen layers
and of the decoder's five. Three additive skips tie an encoder layer to a decoder layer each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import read_json

ENCODER_STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
SKIPS = {5: 2, 3: 3, 1: 4}  # encoder layer -> decoder layer, added after the decoder layer's 2x upsample

PARTS = ("encoder", "decoder")


@dataclass(frozen=True)
class Channels:
    """Output channels per layer.

    Args:
        encoder: fourteen counts, the 3x3 convolution and the thirteen separable layers of MobileNet.
        decoder: five counts, the NNConv5 layers.

    Raises:
        ValueError: a wrong number of layers, a count below one, or a skip between unequal counts.

    >>> Channels.from_mapping(UNPRUNED.as_mapping()) == UNPRUNED
    True
    """

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]

    def __post_init__(self) -> None:
        for part, counts, length in (("encoder", self.encoder, 14), ("decoder", self.decoder, 5)):
            if len(counts) != length:
                raise FastDepthError(f"{part} has {len(counts)} channel counts, needs {length}")
            if any(not isinstance(count, int) or count < 1 for count in counts):
                raise FastDepthError(f"{part} channels must be whole numbers of at least 1, got {counts}")
        for encoder_layer, decoder_layer in SKIPS.items():
            left, right = self.encoder[encoder_layer], self.decoder[decoder_layer - 1]
            if left != right:
                raise FastDepthError(
                    f"the skip from encoder layer {encoder_layer} ({left} channels) to decoder layer "
                    f"{decoder_layer} ({right} channels) adds unequal counts"
                )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Sequence[int]]) -> Channels:
        """Channels from ``{"encoder": [...], "decoder": [...]}``, as JSON holds them."""
        if not isinstance(mapping, Mapping) or not all(isinstance(mapping.get(p), Sequence) for p in PARTS):
            raise FastDepthError(f"a channel list is an object with the lists {' and '.join(PARTS)}, not {mapping!r}")
        return cls(tuple(mapping["encoder"]), tuple(mapping["decoder"]))

    def as_mapping(self) -> dict[str, list[int]]:
        return {part: list(counts) for part, counts in asdict(self).items()}


UNPRUNED = Channels(
    encoder=(32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024), decoder=(512, 256, 128, 64, 32)
)
PRUNED = Channels(  # Fig. 6: what NetAdapt left of it
    encoder=(16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512), decoder=(200, 256, 120, 56, 16)
)
NAMED = {"unpruned": UNPRUNED, "pruned": PRUNED}


def find_channels(text: str) -> Channels:
    """A named channel list, or the one in a JSON file.

    Raises:
        FastDepthError: neither; or the file holds no channel list.
    """
    if text in NAMED:
        return NAMED[text]
    if not Path(text).is_file():
        raise FastDepthError(f"no channel list {text!r}: there is {', '.join(NAMED)}, and no such file")
    return Channels.from_mapping(read_json(Path(text)))


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

    >>> first, *_, head = layer_shapes(UNPRUNED)
    >>> first.out_channels, first.macs, head.macs
    (32, 10838016, 1605632)
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
    """The layers whose channels a layer's output is added to, itself among them; both parts count from 0.

    >>> tied("decoder", 1), tied("encoder", 0)
    ([('encoder', 5), ('decoder', 1)], [('encoder', 0)])
    """
    for encoder, decoder in SKIPS.items():
        pair = [("encoder", encoder), ("decoder", decoder - 1)]
        if (part, number) in pair:
            return pair
    return [(part, number)]
