"""Checkpoints of other code: import_foreign reads the authors', says what is wrong with others, and runs nothing."""

from __future__ import annotations

import io
import os
import pickle
import random
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from authors_models import FORMATS, HOLD, SMALL, authors_code, same, save, shake, skip_add  # noqa: E402

from fastdepth_ros.nn.channels import PRUNED, UNPRUNED, Channels  # noqa: E402
from fastdepth_ros.nn.checkpoints import CheckpointError, folded, save_checkpoint  # noqa: E402
from fastdepth_ros.nn.importers.importer import import_foreign, import_network, load_imagenet_encoder  # noqa: E402
from fastdepth_ros.nn.network import FastDepth, initialize  # noqa: E402

# --- what is read -----------------------------------------------------------------------------------------------------


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
    initialize(network)
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
def test_a_truncated_or_corrupted_file_is_a_checkpoint_error_alone(tmp_path, legacy):
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
    "norm of the head": (lambda net: setattr(net.decode_conv6[1], "eps", 0.1), "decode_conv6.1 has eps 0.1"),
    "shape of the head's norm": (
        lambda net: net.decode_conv6.__setitem__(1, torch.nn.BatchNorm2d(4)),
        r"decode_conv6.1.weight has shape \(4,\)",
    ),
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
    initialize(network, seed=4)
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
