"""Encoders: RGB to the maps at 1/2, 1/4 and 1/8 of its size, which skips start from, and the last one at 1/32.

The last map of those that the paper compares has 1024 channels; where a classifier's layers end otherwise, a 1x1
convolution is appended, as in the paper. MobileNetV2 and the ResNets have torchvision's parameter names: its ImageNet
files load. The stride of a ResNet's bottleneck is in its 3x3 convolution, as in torchvision (and in the paper's MACs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import ENCODER_STRIDES, SKIPS, UNPRUNED
from fastdepth_ros.nn.efficientnet import EfficientNetLite0, EfficientNetLite1, EfficientNetLite2
from fastdepth_ros.nn.layers import conv_bn, separable
from fastdepth_ros.registry import Registry


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


ENCODERS = Registry[Callable[..., Any]]("encoder")
OUTPUTS = 1024

# Of MobileNetV2's inverted residual layers: expansion of the channels, channels, stride.
V2_LAYERS = (
    (1, 16, 1),
    (6, 24, 2), (6, 24, 1),
    (6, 32, 2), (6, 32, 1), (6, 32, 1),
    (6, 64, 2), (6, 64, 1), (6, 64, 1), (6, 64, 1),
    (6, 96, 1), (6, 96, 1), (6, 96, 1),
)  # fmt: skip
V2_SKIPS = (1, 3, 6)  # the last layer at 1/2, 1/4 and 1/8


class Encoder(Protocol):
    """Interface of an encoder of `DepthNetwork`.

    Attributes:
        widths: channels of the four maps.
    """

    widths: tuple[int, int, int, int]

    def __call__(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(N, 3, H, W) in [0, 1] to the maps at 1/2, 1/4, 1/8 and 1/32 of its height and width."""


@ENCODERS.register("mobilenet")
class MobileNet(nn.ModuleList):
    """A 3x3 convolution and thirteen separable layers (Howard et al. 2017).

    Args:
        channels: output channels of the fourteen layers.
        batch_norm: False builds the folded form.
    """

    def __init__(self, channels: Sequence[int] = UNPRUNED.encoder, *, batch_norm: bool = True) -> None:
        super().__init__()
        inputs = 3
        for layer, (outputs, stride) in enumerate(zip(channels, ENCODER_STRIDES)):
            convolution = conv_bn if layer == 0 else separable
            self.append(convolution(inputs, outputs, 3, stride=stride, batch_norm=batch_norm, activation=nn.ReLU6))
            inputs = outputs
        half, quarter, eighth = (channels[layer] for layer in sorted(SKIPS))
        self.widths = (half, quarter, eighth, inputs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for layer, block in enumerate(self):
            x = block(x)  # 112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7
            if layer in SKIPS:
                maps.append(x)
        return (*maps, x)


@ENCODERS.register("mobilenet_v2")
class MobileNetV2(nn.Module):
    """The first fourteen layers of MobileNetV2 (Sandler et al. 2018), under torchvision's parameter names.

    They end with 96 channels at 1/16 of the image: a 2x2 average and the appended 1x1 bring that to the 1/32 and the
    1024 channels that the decoder takes.
    """

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6())
        self.features = nn.Sequential(stem)
        inputs, widths = 32, [32]
        for expansion, outputs, stride in V2_LAYERS:
            self.features.append(InvertedResidual(inputs, outputs, expansion, stride))
            inputs = outputs
            widths.append(outputs)
        self.project = nn.Conv2d(inputs, OUTPUTS, 1)
        half, quarter, eighth = (widths[layer] for layer in V2_SKIPS)
        self.widths = (half, quarter, eighth, OUTPUTS)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for layer, block in enumerate(self.features):
            x = block(x)  # 112, 112, 56, 56, 28, 28, 28, 14, 14, 14, 14, 14, 14, 14
            if layer in V2_SKIPS:
                maps.append(x)
        return (*maps, self.project(functional.avg_pool2d(x, 2)))  # (N, 1024, 7, 7)


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the channels, 3x3 per channel, 1x1 to the outputs; a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        convolutions = [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)]
        if expansion > 1:
            convolutions.insert(0, nn.Conv2d(inputs, hidden, 1, bias=False))
        self.conv = nn.Sequential()
        for convolution in convolutions:
            self.conv.append(nn.Sequential(convolution, nn.BatchNorm2d(hidden), nn.ReLU6()))
        self.conv.extend((nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y if self.shortcut else y


class ResNetEncoder(ResNet):
    """A ResNet and the appended 1x1."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, int, int, int]) -> None:
        super().__init__(block, counts)
        half, quarter, eighth, _, last = self.outputs
        self.project = nn.Conv2d(last, OUTPUTS, 1)
        self.widths = (half, quarter, eighth, OUTPUTS)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        half, quarter, eighth, _, last = super().forward(rgb)
        return half, quarter, eighth, self.project(last)  # (N, 1024, 7, 7)


@ENCODERS.register("resnet18")
class ResNet18(ResNetEncoder):
    def __init__(self) -> None:
        super().__init__(BasicBlock, (2, 2, 2, 2))


@ENCODERS.register("resnet50")
class ResNet50(ResNetEncoder):
    def __init__(self) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3))


for number, lite in enumerate((EfficientNetLite0, EfficientNetLite1, EfficientNetLite2)):
    ENCODERS.register(f"efficientnet_lite{number}")(lite)


def load_classifier(encoder: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Take over a classifier's weights, torchvision's for ImageNet say, but for the layers that the encoder lacks.

    The appended 1x1 keeps the weights it has.

    Args:
        encoder: ResNet18, ResNet50, MobileNetV2 or an EfficientNetLite.
        tensors: state dict of the classifier of the same name.

    Raises:
        ValueError: tensors missing or of another shape; names the first three.
    """
    expected = encoder.state_dict()
    taken = [name for name in expected if not name.startswith("project.") and not name.endswith("num_batches_tracked")]
    wrong = [name for name in taken if name not in tensors or tensors[name].shape != expected[name].shape]
    if wrong:
        names = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise FastDepthError(f"these are no weights of {type(encoder).__name__}: missing or of another shape: {names}")
    encoder.load_state_dict({name: tensors[name] for name in taken}, strict=False)
