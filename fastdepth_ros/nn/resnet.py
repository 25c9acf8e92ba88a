"""ResNet-18 and ResNet-50 without the classifier, under torchvision's parameter names: its ImageNet files load.

The stride of a bottleneck is in its 3x3 convolution, as in torchvision (and in the paper's MACs).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """The convolutional part.

    Args:
        block: BasicBlock or Bottleneck.
        counts: blocks in each of the four stages.

    Attributes:
        outputs: channels of the five maps that `forward` returns.
    """

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs, self.outputs = 64, [64]
        for stage, (width, count) in enumerate(zip((64, 128, 256, 512), counts), start=1):
            layer = nn.Sequential()
            for index in range(count):
                layer.append(block(inputs, width, stride=2 if stage > 1 and index == 0 else 1))
                inputs = width * block.expansion
            self.add_module(f"layer{stage}", layer)
            self.outputs.append(inputs)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) to the maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of its height and width."""
        maps = [torch.relu(self.bn1(self.conv1(rgb)))]
        x = self.maxpool(maps[0])
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            maps.append(x)
        return tuple(maps)


def resnet50() -> ResNet:
    return ResNet(Bottleneck, (3, 4, 6, 3))


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The shortcut's 1x1, where the block changes the size or the number of channels."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
