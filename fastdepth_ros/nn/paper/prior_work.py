"""The prior work of the paper's Table I, to count and to time it. The weights are random: nothing here was trained.

Each network takes RGB of its `input_px` (height, width) and returns one channel at the resolution that its authors
chose. Built from their papers; where those leave a size open, it is the one that gives the MACs of Table I.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.encoders import resnet50
from fastdepth_ros.nn.layers import DECODERS
from fastdepth_ros.registry import Registry

PRIOR = Registry[Callable[..., Any]]("prior work")
NYU_INPUT_PX = (228, 304)
COARSE_PX = (55, 74)  # a quarter of the input
FINE_PX = (109, 147)  # half of it


def prior_work(name: str) -> nn.Module:
    """A network of Table I with random weights; its attribute `input_px` is (height, width).

    Raises:
        ValueError: an unknown name; lists what there is.
    """
    network: nn.Module = PRIOR[name]()
    return network


@PRIOR.register("eigen2014")
class Eigen2014(nn.Module):
    """Eigen, Puhrsch and Fergus, NIPS 2014: a fully connected view of the whole image, refined by a second stack."""

    input_px = NYU_INPUT_PX

    def __init__(self) -> None:
        super().__init__()
        self.coarse = nn.Sequential(
            *_alexnet(), *_conv(384, 256, 3, stride=2),  # (N, 256, 6, 8)
            nn.Flatten(), nn.Linear(256 * 6 * 8, 4096), nn.ReLU(), nn.Linear(4096, COARSE_PX[0] * COARSE_PX[1]),
            nn.Unflatten(1, (1, *COARSE_PX)),
        )  # fmt: skip
        self.edges = nn.Sequential(*_conv(3, 63, 9, stride=2), nn.MaxPool2d(2))  # (N, 63, 55, 74)
        self.fine = nn.Sequential(*_conv(64, 64, 5), nn.Conv2d(64, 1, 5, padding=2))

    def forward(self, rgb: Tensor) -> Tensor:
        return self.fine(torch.cat((self.edges(rgb), self.coarse(rgb)), 1))  # (N, 1, 55, 74)


class EigenFergus2015(nn.Module):
    """Eigen and Fergus, ICCV 2015: three scales, of which each refines what the one before it found. Depth alone.

    Args:
        classifier: convolutional layers of the first scale, down to (N, features, ...).
        features: number of values that they return for an image.
    """

    input_px = NYU_INPUT_PX

    def __init__(self, classifier: nn.Sequential, features: int) -> None:
        super().__init__()
        self.scale1 = nn.Sequential(
            *classifier, nn.Flatten(), nn.Linear(features, 4096), nn.ReLU(), nn.Linear(4096, 64 * 14 * 19), nn.ReLU(),
            nn.Unflatten(1, (64, 14, 19)),
        )  # fmt: skip
        self.edges2 = nn.Sequential(*_conv(3, 96, 9, stride=2), nn.MaxPool2d(2))  # (N, 96, 55, 74)
        self.scale2 = nn.Sequential(
            *_conv(160, 64, 5), *_conv(64, 64, 5), *_conv(64, 64, 5), nn.Conv2d(64, 1, 5, padding=2)
        )
        self.edges3 = nn.Sequential(*_conv(3, 96, 9, stride=2), nn.MaxPool2d(2, stride=1))  # (N, 96, 109, 147)
        self.scale3 = nn.Sequential(*_conv(97, 64, 5), *_conv(64, 64, 5), nn.Conv2d(64, 1, 5, padding=2))

    def forward(self, rgb: Tensor) -> Tensor:
        view = functional.interpolate(self.scale1(rgb), COARSE_PX, mode="bilinear")  # (N, 64, 55, 74)
        depth = self.scale2(torch.cat((view, self.edges2(rgb)), 1))  # (N, 1, 55, 74)
        depth = functional.interpolate(depth, FINE_PX, mode="nearest")
        return self.scale3(torch.cat((depth, self.edges3(rgb)), 1))  # (N, 1, 109, 147)


@PRIOR.register("eigen2015-alexnet")
class EigenFergusAlexNet(EigenFergus2015):
    """Network of Eigen 2015 on the five convolutions of AlexNet, without its local response normalization."""

    def __init__(self) -> None:
        classifier = nn.Sequential(*_alexnet(), *_conv(384, 256, 3), nn.MaxPool2d(3, 2))
        super().__init__(classifier, 256 * 6 * 8)


@PRIOR.register("eigen2015-vgg")
class EigenFergusVGG(EigenFergus2015):
    """Network of Eigen 2015 on the thirteen convolutions of VGG-16."""

    def __init__(self) -> None:
        classifier, inputs = nn.Sequential(), 3
        for count, outputs in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
            for _ in range(count):
                classifier.extend(_conv(inputs, outputs, 3))
                inputs = outputs
            classifier.append(nn.MaxPool2d(2))
        super().__init__(classifier, 512 * 7 * 9)


class Laina2016(nn.Module):
    """Laina et al., 3DV 2016: ResNet-50, 1x1 to 1024 channels, four up-sampling layers, 3x3.

    Args:
        decoder: "upconv" or "upproj".
    """

    input_px = NYU_INPUT_PX

    def __init__(self, decoder: str) -> None:
        super().__init__()
        self.encoder = resnet50()
        self.reduce = nn.Sequential(nn.Conv2d(2048, 1024, 1, bias=False), nn.BatchNorm2d(1024))
        self.decoder, inputs = nn.Sequential(), 1024
        for _ in range(4):
            self.decoder.append(DECODERS[decoder](inputs, inputs // 2, kernel="standard"))
            inputs //= 2
        self.head = nn.Conv2d(inputs, 1, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.reduce(self.encoder(rgb)[-1])  # (N, 1024, 8, 10)
        return torch.relu(self.head(self.decoder(x)))  # (N, 1, 128, 160)


@PRIOR.register("laina2016-upconv")
class LainaUpConv(Laina2016):
    def __init__(self) -> None:
        super().__init__("upconv")


@PRIOR.register("laina2016-upproj")
class LainaUpProj(Laina2016):
    def __init__(self) -> None:
        super().__init__("upproj")


@PRIOR.register("xian2018")
class Xian2018(nn.Module):
    """Xian et al., CVPR 2018: ResNet-50, whose four stages are fused from the coarsest to the finest."""

    input_px = (384, 384)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = resnet50()
        self.transfer = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, 256, 3, padding=1), ResidualUnit(256))
            for inputs in self.encoder.outputs[1:]
        )
        self.fuse = nn.ModuleList(ResidualUnit(256) for _ in range(3))
        self.head = nn.Sequential(*_conv(256, 128, 3), nn.Conv2d(128, 1, 3, padding=1))

    def forward(self, rgb: Tensor) -> Tensor:
        *finer, coarsest = (transfer(x) for transfer, x in zip(self.transfer, self.encoder(rgb)[1:]))
        x = _twice(coarsest)  # (N, 256, 24, 24)
        for fuse, kept in zip(self.fuse, reversed(finer)):
            x = _twice(fuse(x + kept))  # 48, 96, 192
        return _twice(self.head(x))  # (N, 1, 384, 384)


class ResidualUnit(nn.Module):
    """ReLU and 3x3, twice, beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def _alexnet() -> nn.Sequential:
    """The first four convolutions of both of Eigen's coarse scales: (N, 3, 228, 304) to (N, 384, 13, 18)."""
    return nn.Sequential(
        *_conv(3, 96, 11, stride=4), nn.MaxPool2d(2),  # (N, 96, 27, 37)
        *_conv(96, 256, 5), nn.MaxPool2d(2),  # (N, 256, 13, 18)
        *_conv(256, 384, 3), *_conv(384, 384, 3),
    )  # fmt: skip


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution and ReLU; padded to the same size at stride 1 and not at all at others."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0), nn.ReLU())


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear")
