"""Networks to compare with, of the shape of well-known ones and with random weights: here to be timed, never used.

MiDaS v2.1 small (Ranftl et al. 2020): EfficientNet-Lite3 and RefineNet fusion, 256x256. Depth Anything V2 Small (Yang
et al. 2024): ViT-S/14 and a DPT head (Ranftl et al. 2021). Built from their papers; what takes no time is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.efficientnet import EfficientNetLite
from fastdepth_ros.nn.paper.prior_work import ResidualUnit
from fastdepth_ros.registry import Registry

PEERS = Registry[Callable[..., Any]]("peer")
PATCH_PX, WIDTH, HEADS, BLOCKS, TAPS = 14, 384, 6, 12, (2, 5, 8, 11)  # ViT-S/14; the blocks that the head reads


class Fusion(nn.Module):
    """RefineNet's: adds the finer map, of which the coarsest has none, doubles the size, 1x1 to the next width."""

    def __init__(self, inputs: int, outputs: int, *, coarsest: bool = False) -> None:
        super().__init__()
        self.kept = nn.Identity() if coarsest else ResidualUnit(inputs)
        self.joined = ResidualUnit(inputs)
        self.out = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        if kept is not None:
            x = functional.interpolate(x, kept.shape[2:], mode="bilinear", align_corners=True) + self.kept(kept)
        x = functional.interpolate(self.joined(x), scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.out(x)


class Head(nn.Module):
    """Three convolutions, between the first two of which the size is doubled."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(inputs, inputs // 2, 3, padding=1), nn.Conv2d(inputs // 2, 32, 3, padding=1)
        self.last = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor, size_px: int) -> Tensor:
        x = functional.interpolate(self.first(x), (size_px, size_px), mode="bilinear", align_corners=True)
        return functional.relu(self.last(functional.relu(self.second(x))))


@PEERS.register("midas-small-like")
class MidasSmallLike(nn.Module):
    """EfficientNet-Lite3, maps at 1/4, 1/8, 1/16 and 1/32 of 64, 128, 256 and 512 channels, four fusions."""

    size_px = 256

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(width=1.2, depth=1.4, stages=(1, 2, 4))
        outputs = (64, 128, 256, 512)
        self.read = nn.ModuleList(nn.Conv2d(n, out, 3, padding=1) for n, out in zip(self.encoder.widths, outputs))
        self.fuse = nn.ModuleList((Fusion(512, 256, coarsest=True), Fusion(256, 128), Fusion(128, 64), Fusion(64, 64)))
        self.head = Head(64)

    def forward(self, rgb: Tensor) -> Tensor:
        quarter, eighth, sixteenth, last = (read(x) for read, x in zip(self.read, self.encoder(rgb)))
        x = self.fuse[0](last)
        for fuse, kept in zip(list(self.fuse)[1:], (sixteenth, eighth, quarter)):
            x = fuse(x, kept)
        return self.head(x, self.size_px)


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and scaled, as in DINOv2."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.queries, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.scale1, self.scale2 = (nn.Parameter(torch.full((WIDTH,), 0.1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        q, k, v = self.queries(self.norm1(x)).reshape(1, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attended = ((q * (WIDTH // HEADS) ** -0.5) @ k.transpose(2, 3)).softmax(3) @ v  # (1, heads, tokens, 64)
        x = x + self.scale1 * self.out(attended.transpose(1, 2).reshape(1, tokens, WIDTH))
        return x + self.scale2 * self.down(functional.gelu(self.up(self.norm2(x))))


class DepthAnythingSmallLike(nn.Module):
    """ViT-S/14 and a DPT head of 64 channels.

    Args:
        size_px: side of the square input, a multiple of 14.
    """

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.size_px, self.side = size_px, size_px // PATCH_PX
        self.patches = nn.Conv2d(3, WIDTH, PATCH_PX, PATCH_PX)
        self.first = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, self.side**2 + 1, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        widths = (48, 96, 192, 384)
        self.project = nn.ModuleList(nn.Conv2d(WIDTH, width, 1) for width in widths)
        self.resize = nn.ModuleList((
            nn.ConvTranspose2d(48, 48, 4, 4), nn.ConvTranspose2d(96, 96, 2, 2), nn.Identity(),
            nn.Conv2d(384, 384, 3, 2, 1),
        ))  # fmt: skip
        self.read = nn.ModuleList(nn.Conv2d(width, 64, 3, padding=1, bias=False) for width in widths)
        self.fuse = nn.ModuleList(Fusion(64, 64, coarsest=number == 3) for number in range(4))
        self.head = Head(64)

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.patches(rgb).flatten(2).transpose(1, 2)  # (1, side * side, 384)
        x, taps = torch.cat((self.first, x), 1) + self.places, []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPS:
                taps.append(self.norm(x)[:, 1:].transpose(1, 2).reshape(1, WIDTH, self.side, self.side))
        maps = [
            read(resize(project(tap))) for read, resize, project, tap in zip(self.read, self.resize, self.project, taps)
        ]
        x = self.fuse[3](maps[3])
        for number in (2, 1, 0):
            x = self.fuse[number](x, maps[number])
        return self.head(x, self.size_px)


@PEERS.register("depth-anything-v2-small-like-252")
def depth_anything_252() -> nn.Module:
    return DepthAnythingSmallLike(252)


@PEERS.register("depth-anything-v2-small-like-518")
def depth_anything_518() -> nn.Module:
    return DepthAnythingSmallLike(518)
