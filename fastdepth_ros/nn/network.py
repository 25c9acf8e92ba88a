"""Depth networks: an encoder, five decoder layers, three skips and a head, as in the paper's tables.

`FastDepth` (Wofk et al., ICRA 2019, Fig. 2) is MobileNet, NNConv5 depthwise and additive skips, of any channel list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.confidence import MAPS, ConfidenceHead
from fastdepth_ros.nn.encoders import ENCODERS, Encoder, MobileNet
from fastdepth_ros.nn.layers import DECODERS, KERNELS, NNConv5
from fastdepth_ros.registry import Registry

DECODER_WIDTHS = (512, 256, 128, 64, 32)
JOINS = Registry[Callable[..., Any]]("skip")


def parts() -> dict[str, list[str]]:
    """The names of which a variant is composed, by what they name."""
    return {registry.kind: registry.names() for registry in (ENCODERS, DECODERS, KERNELS, JOINS)}


@JOINS.register("none")
class NoSkip(nn.Module):
    """The decoder's own map."""

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.outputs = width

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        return x


@JOINS.register("add")
class AddSkip(nn.Module):
    """The sum. Where the encoder's map has other channels, as those of ResNet do, a 1x1 convolution makes them equal.

    Args:
        width, kept: channels of the decoder's and of the encoder's map.
    """

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.outputs = width
        self.project = nn.Identity() if kept == width else nn.Conv2d(kept, width, 1)

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        return x + self.project(kept)


@JOINS.register("concat")
class ConcatSkip(nn.Module):
    """Both maps, the decoder's first."""

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.outputs = width + kept

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        return torch.cat((x, kept), 1)


class DepthNetwork(nn.Module):
    """RGB in [0, 1] to meters.

    Args:
        encoder: its maps at 1/8, 1/4 and 1/2 join what the decoder's layers 2, 3 and 4 return.
        decoder, kernel, skip: names that `parts` lists.
        widths: output channels of the decoder's five layers.
        batch_norm: False builds the decoder's folded form, whose convolutions have biases instead.

    Raises:
        ValueError: an unknown name.
    """

    confidence: ConfidenceHead | None  # belongs to these very weights

    def __init__(
        self, encoder: Encoder, decoder: str = "nnconv5", *, kernel: str = "depthwise", skip: str = "add",
        widths: Sequence[int] = DECODER_WIDTHS, batch_norm: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        layer, join = DECODERS[decoder], JOINS[skip]
        half, quarter, eighth, inputs = encoder.widths
        kept = {2: eighth, 3: quarter, 4: half}
        self.encoder = encoder
        self.decoder, self.joins = nn.ModuleList(), nn.ModuleList()
        for number, width in enumerate(widths, start=1):
            self.decoder.append(layer(inputs, width, kernel=kernel, batch_norm=batch_norm))
            inputs = width
            if number in kept:
                joined = join(width, kept[number])
                self.joins.append(joined)
                inputs = joined.outputs
        self.head = nn.Conv2d(inputs, 1, 1)
        self.map_channels: list[int] = [widths[0], *(cast(int, join.outputs) for join in self.joins)]
        self.confidence = None
        self.variant: dict[str, str] = {}  # the names of its parts, where it was built by names

    @classmethod
    def of(cls, encoder: str, decoder: str, *, kernel: str, skip: str) -> DepthNetwork:
        """A variant by the names of its parts."""
        network = DepthNetwork(ENCODERS[encoder](), decoder, kernel=kernel, skip=skip)
        network.variant = {"encoder": encoder, "decoder": decoder, "kernel": kernel, "skip": skip}
        return network

    def description(self) -> dict[str, Any]:
        """JSON description from which the network can be built again."""
        return {"variant": self.variant}

    def add_confidence(self, form: str, *, maps: int = MAPS, **options: Any) -> ConfidenceHead:
        """Give the network a new head of its confidence, on so many maps; other arguments as of ConfidenceHead."""
        self.confidence = ConfidenceHead(self.map_channels[:maps], form, **options)
        return self.confidence

    def maps(self, rgb: Tensor) -> list[Tensor]:
        """Maps of the decoder's layers 1 to 4, the last three of them joined: (N, 3, 224, 224) to (N, 512, 14, 14),
        (N, 256, 28, 28), (N, 128, 56, 56) and (N, 64, 112, 112)."""
        half, quarter, eighth, x = self.encoder(rgb)
        first, *layers, _ = self.decoder
        x = first(x)
        maps = [x]
        for layer, join, kept in zip(layers, self.joins, (eighth, quarter, half)):
            x = join(layer(x), kept)
            maps.append(x)
        return maps

    def half_resolution(self, rgb: Tensor) -> Tensor:
        """The depth at half the size: (N, 3, 224, 224) to (N, 1, 112, 112) meters; see `half_depth`."""
        return self.half_depth(self.maps(rgb))

    def half_depth(self, maps: Sequence[Tensor]) -> Tensor:
        """The depth at half the size, (N, 1, 112, 112) meters, of the decoder's maps.

        Where the last decoder layer ends with nearest upsampling, the head runs before it, which is a quarter of the
        work: `forward` repeats each pixel 2x2, exactly. Else the mean over 2x2 pixels.
        """
        last = self.decoder[-1]
        if not isinstance(last, NNConv5):
            return functional.avg_pool2d(self.depth(maps), 2)
        return torch.relu(self.head(last.convolve(maps[-1])))

    def depth(self, maps: Sequence[Tensor]) -> Tensor:
        """The depth, (N, 1, 224, 224) meters, of the decoder's maps."""
        return torch.relu(self.head(self.decoder[-1](maps[-1])))

    def infer(self, rgb: np.ndarray) -> np.ndarray:
        """One image on the network's own device: uint8 (224, 224, 3) RGB to float32 (224, 224) meters."""
        with torch.inference_mode():
            image = torch.from_numpy(rgb).to(self.head.weight.device).permute(2, 0, 1)[None].float() / 255
            return self(image)[0, 0].cpu().numpy()

    def forward(self, rgb: Tensor) -> Tensor:
        """Forward pass of the paper: (N, 3, 224, 224) in [0, 1] to (N, 1, 224, 224) meters."""
        return self.depth(self.maps(rgb))


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
