"""Stand-ins for the authors' networks, with their class, attribute and layer names, and what tests do with them."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastdepth_ros.nn.channels import UNPRUNED, Channels
from fastdepth_ros.nn.network import FastDepth

SMALL = Channels(encoder=(2, 3, 4, 5, 4, 6, 5, 4, 3, 2, 3, 4, 5, 6), decoder=(4, 6, 5, 3, 2))
FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])

HOLD: dict[str, Callable[[Any], Any]] = {
    "bare module": lambda network: network,
    "checkpoint": lambda network: {"epoch": 3, "best_result": np.float64(0.7), "model": network},
    "in DataParallel": lambda network: {"model": torch.nn.DataParallel(network)},
    "state dict": lambda network: network.state_dict(),
    "state dict in a checkpoint": lambda network: {"epoch": 3, "state_dict": network.state_dict()},
    "state dict of DataParallel": lambda network: torch.nn.DataParallel(network).state_dict(),
    "half precision": lambda network: {name: tensor.half() for name, tensor in network.state_dict().items()},
}

STAGES = {"resnet18": ("BasicBlock", (2, 2, 2, 2)), "resnet50": ("Bottleneck", (3, 4, 6, 3))}
BUILDERS = {"nnconv5": "NNConv", "deconv5": "DeConv", "upconv": "UpConv", "upproj": "UpProj"}

# Networks with the authors' class, attribute and layer names. Their `models` is gone when a checkpoint is read.
MODELS = """
import torch
from torch import nn
from torch.nn.functional import interpolate


def norm(conv, act):
    return [conv, nn.BatchNorm2d(conv.out_channels), act]


def dw(channels, kernel, stride, act):
    return norm(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False), act)


def pw(inputs, outputs, act):
    return norm(nn.Conv2d(inputs, outputs, 1, bias=False), act)


def mobilenet(encoder, first_stride=2, act=nn.ReLU6):
    yield nn.Sequential(*norm(nn.Conv2d(3, encoder[0], 3, first_stride, 1, bias=False), act(inplace=True)))
    for i, (inputs, outputs) in enumerate(zip(encoder, encoder[1:]), start=1):
        stride = 2 if i in (2, 4, 6, 12) else 1
        yield nn.Sequential(*dw(inputs, 3, stride, act(inplace=True)), *pw(inputs, outputs, act(inplace=True)))


def nnconv(inputs, outputs, kernel=5, dw_=True):
    relu = nn.ReLU(inplace=True)
    if not dw_:
        return nn.Sequential(*norm(nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False), relu))
    return nn.Sequential(nn.Sequential(*dw(inputs, kernel, 1, relu)), nn.Sequential(*pw(inputs, outputs, relu)))


def deconv(inputs, outputs, kernel=5, dw_=True):
    def transposed(channels, groups=1):
        options = {"stride": 2, "padding": kernel // 2, "output_padding": 1, "groups": groups, "bias": False}
        return norm(nn.ConvTranspose2d(inputs, channels, kernel, **options), nn.ReLU(inplace=True))

    if not dw_:
        return nn.Sequential(*transposed(outputs))
    return nn.Sequential(
        nn.Sequential(*transposed(inputs, inputs)), nn.Sequential(*pw(inputs, outputs, nn.ReLU(inplace=True)))
    )


class Unpool(nn.Module):
    def __init__(self, stride=2):
        super().__init__()
        self.stride = stride
        self.mask = torch.zeros(1, 1, stride, stride)
        self.mask[:, :, 0, 0] = 1

    def forward(self, x):
        kernel = self.mask.expand(x.shape[1], 1, -1, -1)
        return nn.functional.conv_transpose2d(x, kernel, stride=self.stride, groups=x.shape[1])


def upconv(inputs, outputs):
    return nn.Sequential(Unpool(), *norm(nn.Conv2d(inputs, outputs, 5, 1, 2, bias=False), nn.ReLU()))


class upproj(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.unpool = Unpool()
        first = norm(nn.Conv2d(inputs, outputs, 5, 1, 2, bias=False), nn.ReLU(inplace=True))
        second = norm(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), None)[:2]
        self.branch1 = nn.Sequential(*first, *second)
        self.branch2 = nn.Sequential(*norm(nn.Conv2d(inputs, outputs, 5, 1, 2, bias=False), None)[:2])

    def forward(self, x):
        x = self.unpool(x)
        return torch.relu(self.branch1(x) + self.branch2(x))


class MobileNetSkipAdd(nn.Module):
    def __init__(self, encoder, decoder, extra=(0, 0, 0, 0, 0), dw_=True, **options):
        super().__init__()
        self.output_size = (224, 224)
        for i, layer in enumerate(mobilenet(encoder, **options)):
            setattr(self, f"conv{i}", layer)
        for i, (inputs, outputs) in enumerate(zip((encoder[-1], *decoder), decoder), start=1):
            setattr(self, f"decode_conv{i}", nnconv(inputs + extra[i - 1], outputs, dw_=dw_))
        self.decode_conv6 = nn.Sequential(*pw(decoder[-1], 1, nn.ReLU(inplace=True)))

    def join(self, x, skip):
        return x + skip

    def forward(self, x):
        skips = []
        for i in range(14):
            x = getattr(self, f"conv{i}")(x)
            if i in (1, 3, 5):
                skips.append(x)
        for i in range(1, 6):
            x = interpolate(getattr(self, f"decode_conv{i}")(x), scale_factor=2, mode="nearest")
            if i in (2, 3, 4):
                x = self.join(x, skips.pop())
        return self.decode_conv6(x)


class MobileNetSkipConcat(MobileNetSkipAdd):
    def join(self, x, skip):
        return torch.cat((x, skip), 1)


class Decoder(nn.Module):
    name, last, build = "", "convf", None

    def __init__(self, inputs, decoder, **options):
        super().__init__()
        for i, (wide, narrow) in enumerate(zip((inputs, *decoder), decoder), start=1):
            setattr(self, f"{self.name}{i}", type(self).build(wide, narrow, **options))
        setattr(self, self.last, nn.Sequential(*pw(decoder[-1], 1, nn.ReLU(inplace=True))))

    def forward(self, x):
        for i in range(1, 6):
            x = self.between(getattr(self, f"{self.name}{i}")(x))
        return getattr(self, self.last)(x)

    def between(self, x):
        return x


class NNConv(Decoder):
    name, last, build = "conv", "conv6", nnconv

    def between(self, x):
        return interpolate(x, scale_factor=2, mode="nearest")


class BLConv(NNConv):
    def between(self, x):
        return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class ShuffleConv(nn.Module):
    def __init__(self):
        super().__init__()
        for i, channels in enumerate((256, 64, 16, 4), start=1):
            setattr(self, f"conv{i}", nnconv(channels, channels))


class DeConv(Decoder):
    name, build = "convt", deconv


class UpConv(Decoder):
    name, build = "upconv", upconv


class UpProj(Decoder):
    name, build = "upproj", upproj


class MobileNet(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.mobilenet = nn.Sequential(*mobilenet(encoder))
        self.decoder = decoder

    def forward(self, x):
        return self.decoder(self.mobilenet(x))


class ResNet(nn.Module):
    def __init__(self, block, counts, decoder=None):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inputs = 64
        for i, count in enumerate(counts, start=1):
            blocks = []
            for j in range(count):
                blocks.append(block(inputs, 32 * 2**i, 2 if i > 1 and j == 0 else 1))
                inputs = 32 * 2**i * block.expansion
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.conv2 = nn.Conv2d(inputs, 1024, 1)
        if decoder is not None:
            self.decoder = decoder

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.decoder(self.conv2(self.layer4(self.layer3(self.layer2(self.layer1(x))))))


class ResNetSkipAdd(ResNet):
    widths = (1024, 512, 256, 128, 64)

    def __init__(self, block, counts):
        super().__init__(block, counts)
        for i, (inputs, outputs) in enumerate(zip(self.widths, (512, 256, 128, 64, 32)), start=1):
            setattr(self, f"decode_conv{i}", nnconv(inputs, outputs, dw_=False))
        self.decode_conv6 = nn.Sequential(*pw(32, 1, nn.ReLU(inplace=True)))


class ResNetSkipConcat(ResNetSkipAdd):
    widths = (1024, 768, 384, 192, 128)


class Classifier(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.model = nn.Sequential(*mobilenet(encoder), nn.AvgPool2d(7))
        self.fc = nn.Linear(encoder[-1], 10)
"""


# The blocks of torchvision's ResNets, under the names that their pickles have.
RESNET = """
from torch import nn


def conv_norm(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = conv_norm(inputs, width, 3, stride)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv_norm(width, width, 3)
        self.add_rest(inputs, outputs, stride)

    def add_rest(self, inputs, outputs, stride):
        self.downsample, self.stride = None, stride
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(*conv_norm(inputs, outputs, 1, stride))

    def body(self, x):
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))

    def forward(self, x):
        return self.relu(self.body(x) + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(BasicBlock):
    expansion = 4

    def __init__(self, inputs, width, stride):
        nn.Module.__init__(self)
        outputs = width * self.expansion
        self.conv1, self.bn1 = conv_norm(inputs, width, 1)
        self.conv2, self.bn2 = conv_norm(width, width, 3, stride)
        self.conv3, self.bn3 = conv_norm(width, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        self.add_rest(inputs, outputs, stride)

    def body(self, x):
        return self.bn3(self.conv3(self.relu(super().body(x))))
"""


@contextmanager
def authors_code(folder: Path) -> Iterator[Any]:
    """The module `models`, with `blocks`, those of torchvision.models.resnet; importable inside the block only."""
    inner = folder / "torchvision" / "models"
    inner.mkdir(parents=True)
    for package in (inner.parent, inner):
        (package / "__init__.py").touch()
    sources = {folder / "models.py": MODELS, inner / "resnet.py": RESNET}
    for path, source in sources.items():
        path.write_text(source)
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torchvision"}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        models = importlib.import_module("models")
        models.blocks = importlib.import_module("torchvision.models.resnet")
        yield models
    finally:
        sys.path.remove(str(folder))
        for name in ("models", "torchvision", "torchvision.models", "torchvision.models.resnet"):
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
        (folder / "models.py").unlink()
        shutil.rmtree(inner.parent)


def shake(network: Any, seed: int = 0) -> Any:
    """Give a network weights and running statistics that are not trivial; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(0.0, 0.5, generator=generator)
    return network.eval()


def skip_add(models: Any, channels: Channels = SMALL, **options: Any) -> Any:
    torch.manual_seed(1)
    return shake(models.MobileNetSkipAdd(channels.encoder, channels.decoder, **options))


def theirs(models: Any, name: str, channels: Channels = UNPRUNED) -> Any:
    """The authors' network of that name, with random weights and batch norms."""
    encoder, decoder, *skip = name.split("-")
    depthwise, decoder = decoder.endswith("dw"), decoder.removesuffix("dw")
    torch.manual_seed(2)
    if skip:
        cls = {"skipadd": models.MobileNetSkipAdd, "skipconcat": models.MobileNetSkipConcat}[skip[0]]
        extra = (0, 0, *(channels.encoder[layer] for layer in (5, 3, 1))) if "concat" in skip[0] else (0,) * 5
        return shake(cls(channels.encoder, channels.decoder, extra=extra, dw_=depthwise))
    options = {} if decoder.startswith("up") else {"dw_": depthwise}
    inputs = channels.encoder[-1] if encoder == "mobilenet" else 1024
    layers = getattr(models, BUILDERS[decoder])(inputs, channels.decoder, **options)
    if encoder == "mobilenet":
        return shake(models.MobileNet(channels.encoder, layers))
    block, counts = STAGES[encoder]
    return shake(models.ResNet(getattr(models.blocks, block), counts, layers))


def save(content: Any, path: Path, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def lively(network: Any, rgb: Any) -> Any:
    """Running statistics of this very input: what a layer computes then still shows in the depth."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        network.train()(rgb)
        expected = network.eval()(rgb)
    assert expected.std() > 0.1 and (expected > 0).float().mean() > 0.3
    return expected


def same(network: FastDepth, rgb: Any, expected: Any) -> bool:
    assert expected.std() > 1e-3  # the ReLU of the head left something to compare
    with torch.no_grad():
        return torch.allclose(network(rgb), expected, atol=1e-5)
