"""Checkpoints of other code: import_foreign reads the authors', says what is wrong with others, and runs nothing."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastdepth_ros.cli import main  # noqa: E402
from fastdepth_ros.nn.authors import SKIP_ADD, VARIANTS, variant_name  # noqa: E402
from fastdepth_ros.nn.channels import PRUNED, UNPRUNED, Channels  # noqa: E402
from fastdepth_ros.nn.checkpoints import CheckpointError, folded, save_checkpoint  # noqa: E402
from fastdepth_ros.nn.fastdepth import FastDepth, initialise  # noqa: E402
from fastdepth_ros.nn.foreign import import_foreign, import_network, load_imagenet_encoder  # noqa: E402
from fastdepth_ros.nn.network import DepthNetwork  # noqa: E402

SMALL = Channels(encoder=(2, 3, 4, 5, 4, 6, 5, 4, 3, 2, 3, 4, 5, 6), decoder=(4, 6, 5, 3, 2))
FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])

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


def save(content: Any, path: Path, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture(scope="module")
def rgb() -> Any:
    return torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A good checkpoint that a test can spoil."""
    with authors_code(tmp_path) as models:
        return save(skip_add(models), tmp_path / "good.pth.tar")


def same(network: FastDepth, rgb: Any, expected: Any) -> bool:
    assert expected.std() > 1e-3  # the ReLU of the head left something to compare
    with torch.no_grad():
        return torch.allclose(network(rgb), expected, atol=1e-5)


# --- what is read -----------------------------------------------------------------------------------------------------

HOLD: dict[str, Callable[[Any], Any]] = {
    "bare module": lambda network: network,
    "checkpoint": lambda network: {"epoch": 3, "best_result": np.float64(0.7), "model": network},
    "in DataParallel": lambda network: {"model": torch.nn.DataParallel(network)},
    "state dict": lambda network: network.state_dict(),
    "state dict in a checkpoint": lambda network: {"epoch": 3, "state_dict": network.state_dict()},
    "state dict of DataParallel": lambda network: torch.nn.DataParallel(network).state_dict(),
    "half precision": lambda network: {name: tensor.half() for name, tensor in network.state_dict().items()},
}


@FORMATS
@pytest.mark.parametrize("hold", HOLD)
def test_the_authors_network_computes_the_same_once_imported(tmp_path, rgb, hold, legacy):
    with authors_code(tmp_path) as models:
        network = skip_add(models)
        path = save(HOLD[hold](network), tmp_path / "theirs.pth.tar", legacy=legacy)
        if hold == "half precision":
            network = network.half().float()
        with torch.no_grad():
            expected = network(rgb)
    assert "models" not in sys.modules
    imported = import_network(path)
    assert imported.channels == SMALL and not imported.training
    assert same(imported, rgb, expected)
    assert "models" not in sys.modules


@pytest.mark.parametrize("channels", [PRUNED, UNPRUNED], ids=["pruned", "unpruned"])
def test_channels_are_read_from_the_shapes(tmp_path, channels):
    with authors_code(tmp_path) as models:
        path = save(skip_add(models, channels), tmp_path / "theirs.pth.tar")
    assert import_foreign(path).channels == channels


@FORMATS
def test_a_checkpoint_of_an_old_torch_on_a_gpu_is_read(tmp_path, monkeypatch, rgb, legacy):
    """Storages on cuda:0, a THNN backend in each module, no count of batches, the optimizer and a Result beside."""
    thnn = types.ModuleType("torch.nn.backends.thnn")
    backend = types.new_class("THNNFunctionBackend")()
    thnn._get_thnn_function_backend = lambda: backend
    thnn._get_thnn_function_backend.__module__ = "torch.nn.backends.thnn"
    thnn._get_thnn_function_backend.__qualname__ = "_get_thnn_function_backend"
    type(backend).__reduce__ = lambda _: (thnn._get_thnn_function_backend, ())
    metrics = types.ModuleType("metrics")
    metrics.Result = types.new_class("Result", exec_body=lambda body: body.update(__module__="metrics"))
    result = metrics.Result()
    result.rmse = np.float32(0.6)
    monkeypatch.setitem(sys.modules, "torch.nn.backends", types.ModuleType("torch.nn.backends"))
    monkeypatch.setitem(sys.modules, "torch.nn.backends.thnn", thnn)
    monkeypatch.setitem(sys.modules, "metrics", metrics)
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
    with authors_code(tmp_path) as models:
        network = skip_add(models)
        with torch.no_grad():
            expected = network(rgb)
        for module in network.modules():
            module._backend = backend
            module._buffers.pop("num_batches_tracked", None)
        content = {"epoch": 1, "best_result": result, "model": network}
        content["optimizer"] = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
        path = save(content, tmp_path / "theirs.pth.tar", legacy=legacy)
    monkeypatch.undo()
    imported = import_foreign(path)
    assert {parameter.device.type for parameter in imported.parameters()} == {"cpu"}
    assert same(imported, rgb, expected)


@FORMATS
@pytest.mark.parametrize("fold", [False, True], ids=["batch norm", "folded"])
def test_a_state_dict_of_this_package_is_read(tmp_path, rgb, fold, legacy):
    network = FastDepth(SMALL)
    initialise(network)
    network = folded(shake(network)) if fold else shake(network)
    path = save({"state_dict": network.state_dict()}, tmp_path / "ours.pth", legacy=legacy)
    imported = import_network(path)
    with torch.no_grad():
        assert torch.equal(imported(rgb), network(rgb))


def test_what_a_file_holds_decides_and_not_its_suffix(tmp_path, saved):
    network = FastDepth(SMALL).eval()
    safetensors = tmp_path / "ours.safetensors"
    save_checkpoint(network, safetensors)
    assert import_network(safetensors.rename(tmp_path / "ours.pth")).channels == SMALL
    assert import_network(saved.rename(tmp_path / "theirs.pkl")).channels == SMALL


# --- the other variants -----------------------------------------------------------------------------------------------

STAGES = {"resnet18": ("BasicBlock", (2, 2, 2, 2)), "resnet50": ("Bottleneck", (3, 4, 6, 3))}
BUILDERS = {"nnconv5": "NNConv", "deconv5": "DeConv", "upconv": "UpConv", "upproj": "UpProj"}


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


WAYS = {
    "mobilenet-nnconv5": [("bare module", False), ("in DataParallel", True), ("state dict", False)],
    "mobilenet-nnconv5dw": [
        ("in DataParallel", False),
        ("in DataParallel", True),
        ("state dict", False),
        ("half precision", True),
    ],
    "mobilenet-nnconv5-skipadd": [("checkpoint", True)],
    "mobilenet-nnconv5-skipconcat": [("in DataParallel", False)],
    "mobilenet-nnconv5dw-skipconcat": [("in DataParallel", True), ("state dict of DataParallel", False)],
    "mobilenet-deconv5": [("in DataParallel", True)],
    "mobilenet-deconv5dw": [("checkpoint", False), ("state dict", True)],
    "mobilenet-upconv": [("in DataParallel", True)],
    "mobilenet-upproj": [("checkpoint", False)],
    "resnet18-nnconv5": [("in DataParallel", True)],
    "resnet18-nnconv5dw": [("in DataParallel", False), ("state dict in a checkpoint", True)],
    "resnet18-deconv5dw": [("checkpoint", False)],
    "resnet50-nnconv5dw": [("in DataParallel", True), ("state dict", False)],
    "resnet18-upconv": [("bare module", False)],
}
CASES = [(name, *way) for name, ways in WAYS.items() for way in ways]


@pytest.mark.parametrize(
    ("name", "hold", "legacy"), CASES, ids=[f"{n}, {h}, {'legacy' if old else 'zip'}" for n, h, old in CASES]
)
def test_a_variant_of_the_authors_computes_the_same_once_imported(tmp_path, name, hold, legacy):
    rgb = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(4))
    with authors_code(tmp_path) as models:
        network = theirs(models, name)
        expected = lively(network, rgb)
        path = save(HOLD[hold](network), tmp_path / "theirs.pth.tar", legacy=legacy)
        if hold == "half precision":
            with torch.no_grad():
                expected = network.half().float()(rgb)
    imported = import_network(path)
    assert imported.description() == {"variant": VARIANTS[name]}
    assert not imported.training
    like = DepthNetwork.of(**VARIANTS[name]).state_dict()
    assert {key: tensor.dtype for key, tensor in imported.state_dict().items()} == {
        key: tensor.dtype for key, tensor in like.items()
    }
    with torch.no_grad():
        torch.testing.assert_close(imported(rgb), expected, rtol=1e-5, atol=1e-5)


def test_every_variant_has_the_layers_that_the_authors_give_it(tmp_path):
    """By shapes alone, for those whose weights are too many to save in a test."""
    from fastdepth_ros.nn.authors import layer_names

    with authors_code(tmp_path) as models, torch.device("meta"):
        for name, parts in VARIANTS.items():
            ours = DepthNetwork.of(**parts)
            layers, norm = layer_names(name, [layer for layer, _ in ours.named_modules()])
            found = {key: tuple(tensor.shape) for key, tensor in theirs(models, name).state_dict().items()}
            shapes = {key: tuple(tensor.shape) for key, tensor in ours.state_dict().items() if key != "head.bias"}
            expected = {
                "{}.{}".format(layers[key.rpartition(".")[0]], key.rpartition(".")[2]): shape
                for key, shape in shapes.items()
            }
            assert expected == {key: shape for key, shape in found.items() if key.rpartition(".")[0] != norm}, name
            assert variant_name(found, {}) == name


def test_an_imported_variant_becomes_an_artefact_that_every_backend_computes(tmp_path, capsys):
    with authors_code(tmp_path) as models:
        network = theirs(models, "mobilenet-nnconv5dw-skipconcat")
        path = save({"epoch": 1, "model": torch.nn.DataParallel(network)}, tmp_path / "theirs.pth.tar", legacy=True)
    assert main(["models", "import", str(path), "--out", str(tmp_path / "artefact")]) == 0
    manifest = json.loads((tmp_path / "artefact" / "manifest.json").read_text())
    assert manifest["variant"] == VARIANTS["mobilenet-nnconv5dw-skipconcat"]
    assert main(["models", "verify", str(tmp_path / "artefact")]) in (0, 1)  # 1 where an engine is not installed
    said = capsys.readouterr().out
    for backend in ("pytorch", "onnxruntime"):
        assert re.search(rf"^{backend}: .* computes artefact$", said, re.MULTILINE)


@pytest.mark.parametrize("entry", ["mobilenet-nnconv5", "mobilenet-nnconv5dw"])
def test_a_published_variant_is_fetched_and_another_one_under_its_name_refused(tmp_path, entry, capsys):
    """The files lie where `fetch` keeps them, so that it asks no server."""
    other = "mobilenet-nnconv5dw" if entry == "mobilenet-nnconv5" else "mobilenet-deconv5dw"
    kept, out = tmp_path / f"{entry}.pth.tar", tmp_path / "artefact"
    with authors_code(tmp_path) as models:
        save({"model": theirs(models, other)}, kept)
        assert main(["models", "fetch", entry, "--out", str(out)]) == 1
        error = capsys.readouterr().err
        assert f"the catalogue says {entry} of {entry}" in error and error.count("\n") == 1
        assert not out.exists()
        save({"model": theirs(models, entry)}, kept, legacy=True)
    assert main(["models", "fetch", entry, "--out", str(out)]) == 0
    assert json.loads((out / "manifest.json").read_text())["variant"] == VARIANTS[entry]


def test_a_catalogue_cannot_ask_for_a_pruned_variant(tmp_path, capsys):
    content = json.loads(files("fastdepth_ros.depth").joinpath("catalogue.json").read_text())
    content["models"][0]["channels"] = "pruned"
    (tmp_path / "catalogue.json").write_text(json.dumps(content))
    where = ["--catalogue", str(tmp_path / "catalogue.json"), "--out", str(tmp_path / "artefact")]
    assert main(["models", "fetch", "mobilenet-nnconv5", *where]) == 1
    assert "is a mobilenet-nnconv5, which is read unpruned only" in capsys.readouterr().err


# --- what is refused --------------------------------------------------------------------------------------------------


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


MARKER = "it-ran"
HOSTILE = {
    "os.system": Call(os.system, f"touch {MARKER}"),
    "subprocess.Popen": Call(subprocess.Popen, ["touch", MARKER]),
    "builtins.eval": Call(eval, f"open({MARKER!r}, 'w')"),
    "builtins.getattr": Call(getattr, "a", "upper"),
    "io.open": Call(open, MARKER, "w"),
    "numpy.load": Call(np.load, MARKER),
    "torch.serialization.load": Call(torch.load, MARKER),
    "torch.hub.load": Call(torch.hub.load, "a/b", "c"),
}


@FORMATS
@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_calls_is_refused_by_name_and_nothing_runs(tmp_path, monkeypatch, name, legacy):
    monkeypatch.chdir(tmp_path)
    network = torch.nn.Conv2d(1, 1, 1)
    path = save({"first": HOSTILE[name], "model": network}, tmp_path / "evil.pth.tar", legacy=legacy)
    with pytest.raises(CheckpointError, match="is refused: it asks for .*nothing in it was run") as refusal:
        import_network(path)
    assert name in str(refusal.value)
    assert not (tmp_path / MARKER).exists()


@FORMATS
def test_no_class_of_the_file_is_imported(tmp_path, monkeypatch, legacy):
    """A `models` that would run on import lies where Python looks for it."""
    with authors_code(tmp_path) as models:
        path = save(skip_add(models), tmp_path / "theirs.pth.tar", legacy=legacy)
    (tmp_path / "models.py").write_text(f"open({str(tmp_path / MARKER)!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_foreign(path).channels == SMALL
    assert not (tmp_path / MARKER).exists()


def test_attributes_of_classes_cannot_be_set(tmp_path):
    """A BUILD with slots on a class would change it for every file that is read after."""
    for name in ("torch.nn.modules.conv Conv2d", "collections OrderedDict", "torch._utils _rebuild_tensor_v2"):
        module, attribute = name.split()
        program = f"c{module}\n{attribute}\n(N(S'items'\nS'x'\ndtb.".encode()
        path = tmp_path / "evil.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", b"\x80\x02" + program)
        with pytest.raises(CheckpointError, match="damaged"):
            import_foreign(path)


def test_an_index_that_would_fill_the_memory_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02Nr\xff\xff\xff\x7f.")
    with pytest.raises(CheckpointError, match="object 2147483647"):
        import_foreign(path)


def test_a_module_that_contains_itself_is_refused(tmp_path):
    with authors_code(tmp_path) as models:
        network = skip_add(models)
        network.conv0._modules["again"] = network.conv0
        path = save(network, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="nests more layers"):
        import_foreign(path)


def test_a_shape_that_the_file_does_not_fill_is_refused(tmp_path):
    tensors = FastDepth(SMALL).state_dict()
    tensors["encoder.1.pw.conv.weight"] = torch.zeros(1).expand(2**40, 2, 1, 1)
    with pytest.raises(CheckpointError, match="encoder.1.pw.conv.weight|unequal counts"):
        import_foreign(save(tensors, tmp_path / "evil.pth"))
    tensors = FastDepth(SMALL).state_dict()
    tensors["encoder.2.pw.conv.weight"] = torch.zeros(1).expand(4, 3, 1, 1)
    with pytest.raises(CheckpointError, match="12 numbers, its storage 1"):
        import_foreign(save(tensors, tmp_path / "evil.pth"))


NO_CHECKPOINT = {
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no checkpoint", "is no checkpoint: it begins with b'hello"),
    "web page": (b"\n<!DOCTYPE html><html>", "is a web page"),
    "pickle": (pickle.dumps({"a": 1}, 2), "not one of torch.save"),
    "protocol 4": (pickle.dumps(np.float64, 4), "is refused: it asks for numpy.float64"),
    "tar": (b"\0" * 257 + b"ustar" + b"\0" * 250, "is a tar archive"),
}


@pytest.mark.parametrize("name", NO_CHECKPOINT)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, name):
    content, message = NO_CHECKPOINT[name]
    path = tmp_path / "file.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        import_network(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no model at"):
        import_network(tmp_path / "none.pth")


@pytest.mark.parametrize(("compression", "message"), [("deflated", "compressed"), ("stored", "no data.pkl")])
def test_another_zip_is_refused(tmp_path, compression, message):
    path = tmp_path / "file.pth"
    with zipfile.ZipFile(path, "w", getattr(zipfile, f"ZIP_{compression.upper()}")) as archive:
        archive.writestr("a/readme", "x" * 100)
    with pytest.raises(CheckpointError, match=message):
        import_foreign(path)


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(CheckpointError, match="TorchScript"):
        import_foreign(path)


@FORMATS
def test_a_truncated_or_corrupted_file_is_a_checkpoint_error_and_nothing_else(tmp_path, legacy):
    with authors_code(tmp_path) as models:
        whole = save(skip_add(models), tmp_path / "good.pth", legacy=legacy).read_bytes()
    path = tmp_path / "bad.pth"
    for length in range(1, len(whole) - 1, len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            import_foreign(path)
    chance = random.Random(0)
    for _ in range(60):
        spoilt = bytearray(whole)
        for _ in range(4):
            spoilt[chance.randrange(len(whole) // 3)] = chance.randrange(256)
        path.write_bytes(spoilt)
        with suppress(CheckpointError):
            import_foreign(path)


# --- networks that compute something else -----------------------------------------------------------------------------


def test_networks_that_are_not_read_are_called_what_the_authors_call_them_and_why(tmp_path):
    encoder, decoder = SMALL.encoder, SMALL.decoder
    wide = UNPRUNED.decoder
    with authors_code(tmp_path) as models:
        basic = models.blocks.BasicBlock
        concat, shuffle = models.ResNetSkipConcat(basic, (2, 2, 2, 2)), models.ShuffleConv()
        cases = {
            "mobilenet-blconv5dw": (models.MobileNet(encoder, models.BLConv(encoder[-1], decoder)), "bilinearly"),
            "mobilenet-blconv3": (
                models.MobileNet(encoder, models.BLConv(encoder[-1], decoder, kernel=3, dw_=False)), "bilinearly",
            ),
            "mobilenet-shuffle5dw": (models.MobileNet(encoder, shuffle), "shuffling pixels"),
            "mobilenet-nnconv7": (
                models.MobileNet(encoder, models.NNConv(encoder[-1], decoder, kernel=7, dw_=False)), "not 5x5",
            ),
            "mobilenet-deconv3dw": (
                models.MobileNet(encoder, models.DeConv(encoder[-1], decoder, kernel=3)), "not 5x5",
            ),
            "resnet34-nnconv5dw": (models.ResNet(basic, (3, 4, 6, 3), models.NNConv(1024, wide)), "are 18 and 50"),
            "resnet18-nnconv5-skipadd": (models.ResNetSkipAdd(basic, (2, 2, 2, 2)), "five skips are added before"),
            "resnet18-nnconv5-skipconcat": (concat, "map at 1/16 too"),
        }  # fmt: skip
        paths = {name: save(network, tmp_path / f"{name}.pth.tar") for name, (network, _) in cases.items()}
        plain = {
            "resnet18-nnconv5-skipconcat": save(concat.state_dict(), tmp_path / "concat.pth"),
            "mobilenet-shuffle5dw": save(cases["mobilenet-shuffle5dw"][0].state_dict(), tmp_path / "shuffle.pth"),
        }
    for name, path in [*paths.items(), *plain.items()]:
        why = cases[name][1]
        with pytest.raises(CheckpointError, match=f"is the authors' {name}, which this package does not read: .*{why}"):
            import_foreign(path)


@pytest.mark.parametrize("name", ["mobilenet-nnconv5dw", "mobilenet-nnconv5-skipadd", "mobilenet-deconv5"])
def test_a_pruned_variant_is_refused_with_a_sentence(tmp_path, name):
    with authors_code(tmp_path) as models:
        path = save(theirs(models, name, SMALL), tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=rf"is a pruned {name}: .* {SKIP_ADD} is the only network that is read"):
        import_foreign(path)


VARIANT_SPOIL: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "stride of the unpooling": (
        "mobilenet-upconv",
        lambda net: setattr(net.decoder.upconv1[0], "stride", 3),
        r"decoder.upconv1.0 unpools with stride 3",
    ),
    "kernel of the unpooling": (
        "mobilenet-upconv",
        lambda net: net.decoder.upconv3[0].mask.fill_(1.0),
        r"decoder.upconv3.0 unpools with stride 2 and kernel \[\[\[\[1.0, 1.0\], \[1.0, 1.0\]",
    ),
    "pooling": (
        "resnet18-nnconv5dw",
        lambda net: setattr(net.maxpool, "ceil_mode", True),
        "maxpool has ceil_mode True, .* ceil_mode False",
    ),
    "activation of a block": (
        "resnet18-nnconv5dw",
        lambda net: setattr(net.layer2[1], "relu", torch.nn.ReLU6()),
        "layer2.1.relu is a ReLU6, FastDepth has none there",
    ),
    "activation of the head": (
        "mobilenet-nnconv5dw",
        lambda net: net.decoder.conv6.__setitem__(2, torch.nn.ReLU6()),
        "decoder.conv6.2 is a ReLU6",
    ),
    "a layer more": (
        "mobilenet-nnconv5dw",
        lambda net: net.decoder.conv2.append(torch.nn.Upsample(scale_factor=2)),
        "decoder.conv2.2 is a Upsample",
    ),
    "output padding": (
        "mobilenet-deconv5dw",
        lambda net: setattr(net.decoder.convt2[0][0], "output_padding", (0, 0)),
        r"decoder.convt2.0.0 has output_padding \(0, 0\)",
    ),
    "circular padding": (
        "mobilenet-nnconv5dw",
        lambda net: setattr(net.decoder.conv2[0][0], "padding_mode", "circular"),
        "decoder.conv2.0.0 has padding_mode circular, .* zeros",
    ),
    "more channels": (
        "mobilenet-nnconv5dw",
        lambda net: net.mobilenet[0].__setitem__(0, torch.nn.Conv2d(4, 32, 3, 2, 1, bias=False)),
        r"mobilenet.0.0.weight has shape \(32, 4, 3, 3\)",
    ),
}


@pytest.mark.parametrize("case", VARIANT_SPOIL)
def test_a_variant_that_differs_is_refused_and_the_difference_named(tmp_path, case):
    name, spoil, message = VARIANT_SPOIL[case]
    with authors_code(tmp_path) as models:
        network = theirs(models, name)
        spoil(network)
        path = save(network, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=message):
        import_foreign(path)


SPOIL: dict[str, tuple[Callable[[Any], Any], str]] = {
    "stride": (lambda net: setattr(net.conv3[0], "stride", (2, 2)), r"conv3.0 has stride \(2, 2\), .* \(1, 1\)"),
    "padding": (lambda net: setattr(net.conv2[0], "padding", (0, 0)), r"conv2.0 has padding \(0, 0\)"),
    "eps": (lambda net: setattr(net.conv2[1], "eps", 1e-3), "conv2.1 has eps 0.001"),
    "activation": (lambda net: net.conv4.__setitem__(5, torch.nn.ReLU()), "conv4.5 has ReLU, .* ReLU6"),
    "shape": (
        lambda net: net.conv4.__setitem__(3, torch.nn.Conv2d(5, 4, 3, bias=False)),
        r"conv4.3.weight has shape \(4, 5, 3, 3\)",
    ),
    "bias": (
        lambda net: net.conv4.__setitem__(3, torch.nn.Conv2d(5, 4, 1)),
        "has conv4.3.bias, FastDepth has no such tensor",
    ),
    "missing": (lambda net: net.decode_conv3.__delitem__(1), "lacks decode_conv3.1.0.weight"),
    "no norm": (lambda net: net.decode_conv6.__setitem__(1, torch.nn.Identity()), "lacks decode_conv6.1.weight"),
    "skip": (
        lambda net: setattr(net, "conv5", torch.nn.Sequential(*net.conv5[:3], torch.nn.Conv2d(4, 9, 1, bias=False))),
        "the skip from encoder layer 5 .9 channels. to decoder layer 2 .6 channels. adds unequal counts",
    ),
    "not finite": (
        lambda net: net.conv7[0].weight.data.fill_(float("nan")),
        "conv7.0.weight holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize("name", SPOIL)
def test_a_network_that_differs_is_refused_and_the_difference_named(tmp_path, name):
    spoil, message = SPOIL[name]
    with authors_code(tmp_path) as models:
        network = skip_add(models)
        spoil(network)
        path = save(network, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=message):
        import_foreign(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 1}, "holds no network: .* a dict of epoch"),
        ([1, 2], "holds no network: .* list"),
        ({"fc.weight": torch.zeros(2)}, "neither a network of the FastDepth authors nor ours, it has fc.weight"),
        (torch.nn.Sequential(), "neither a network of the FastDepth authors nor ours, it has no tensor"),
    ],
    ids=["no model", "list", "another state dict", "another module"],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=message):
        import_foreign(save(content, tmp_path / "file.pth"))


# --- ImageNet ---------------------------------------------------------------------------------------------------------


def classifier(folder: Path, channels: Channels) -> tuple[Any, Path]:
    with authors_code(folder) as models:
        network = shake(models.Classifier(channels.encoder), seed=5)
        content = {"epoch": 1, "arch": "mobilenet", "state_dict": torch.nn.DataParallel(network).state_dict()}
        content["best_prec1"] = torch.tensor(70.6)
        return network, save(content, folder / "model_best.pth.tar", legacy=True)


def test_imagenet_weights_become_the_encoder_and_leave_the_decoder(tmp_path, rgb):
    theirs, path = classifier(tmp_path, SMALL)
    network = FastDepth(SMALL)
    initialise(network, seed=4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_imagenet_encoder(network, path)
    assert network.training
    after = network.state_dict()
    for name in before:
        if not name.startswith("encoder."):
            assert torch.equal(before[name], after[name]), name
    x = rgb
    with torch.no_grad():
        for block in network.eval().encoder:
            x = block(x)
        assert torch.allclose(x, theirs.model[:14](rgb), atol=1e-6)


def test_imagenet_weights_that_do_not_fit_are_refused(tmp_path, saved):
    _, path = classifier(tmp_path, SMALL)
    with pytest.raises(CheckpointError, match=r"model.0.0.weight has shape \(2, 3, 3, 3\), .*\(16, 3, 3, 3\)"):
        load_imagenet_encoder(FastDepth(PRUNED), path)
    with pytest.raises(CheckpointError, match="lacks model.0.0.weight"):
        load_imagenet_encoder(FastDepth(SMALL), saved)
    with pytest.raises(CheckpointError, match="folded"):
        load_imagenet_encoder(FastDepth(SMALL, batch_norm=False), path)


def test_reading_leaves_the_file_as_it_was(saved):
    before = saved.read_bytes()
    import_foreign(saved)
    assert saved.read_bytes() == before and io.BytesIO(before).read(2) == b"PK"
