"""Networks to compare with, of the shape of well-known ones and with random weights: here to be timed, never used.

MiDaS v2.1 small (Ranftl et al. 2020): EfficientNet-Lite3 and RefineNet fusion, 256x256. Depth Anything V2 Small (Yang
et al. 2024): ViT-S/14 and a DPT head (Ranftl et al. 2021). Built from their papers; what takes no time is left out.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.efficientnet import STAGES, InvertedBottleneck, SamePad
from fastdepth_ros.nn.registry import Registry

OPSET = 17
PEERS = Registry("peer")
LITE3_WIDTH, LITE3_DEPTH = 1.2, 1.4  # factors on EfficientNet-Lite0
PATCH_PX, WIDTH, HEADS, BLOCKS, TAPS = 14, 384, 6, 12, (2, 5, 8, 11)  # ViT-S/14; the blocks that the head reads


class ResidualUnit(nn.Module):
    """ReLU and 3x3, twice, beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(functional.relu(x))))


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
        self.stem = nn.Sequential(SamePad(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU6())
        self.stages, widths, inputs = nn.ModuleList(), [], 32
        for number, (layers, kernel, stride, expansion, outputs) in enumerate(STAGES):
            outputs = int(outputs * LITE3_WIDTH + 4) // 8 * 8
            layers = layers if number in (0, 6) else -int(-layers * LITE3_DEPTH // 1)
            stage = nn.Sequential()
            for layer in range(layers):
                stage.append(InvertedBottleneck(inputs, outputs, kernel, stride if layer == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(stage)
            widths.append(inputs)
        self.read = nn.ModuleList(
            nn.Conv2d(widths[stage], outputs, 3, padding=1)
            for stage, outputs in ((1, 64), (2, 128), (4, 256), (6, 512))
        )
        self.fuse = nn.ModuleList((Fusion(512, 256, coarsest=True), Fusion(256, 128), Fusion(128, 64), Fusion(64, 64)))
        self.head = Head(64)

    def forward(self, rgb: Tensor) -> Tensor:
        x, maps = self.stem(rgb), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in (1, 2, 4, 6):
                maps.append(x)
        quarter, eighth, sixteenth, last = (read(x) for read, x in zip(self.read, maps))
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
        size_px: of the square input, a multiple of 14.
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


def write_network(network: nn.Module, size_px: tuple[int, int], path: Path) -> None:
    """ONNX of any network of (1, 3, height, width) in [0, 1]."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (torch.rand(1, 3, *size_px),), str(path), opset_version=OPSET, dynamo=False)
