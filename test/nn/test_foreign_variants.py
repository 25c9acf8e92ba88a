"""The authors' other networks: import_foreign reads those that compute the same, and says why it refuses the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from authors_models import HOLD, SMALL, authors_code, lively, save, theirs  # noqa: E402

from fastdepth_ros.cli import main  # noqa: E402
from fastdepth_ros.nn.channels import UNPRUNED  # noqa: E402
from fastdepth_ros.nn.checkpoints import CheckpointError  # noqa: E402
from fastdepth_ros.nn.importers.authors import SKIP_ADD, VARIANTS, variant_name  # noqa: E402
from fastdepth_ros.nn.importers.importer import import_foreign, import_network  # noqa: E402
from fastdepth_ros.nn.network import DepthNetwork  # noqa: E402

# --- what is read -----------------------------------------------------------------------------------------------------

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
CASES = [
    pytest.param(
        name,
        *way,
        id=f"{name}, {way[0]}, {'legacy' if way[1] else 'zip'}",
        # the first way of each, and every way of one: the others pair what these have
        marks=[pytest.mark.slow] if number and name != "mobilenet-nnconv5dw" else [],
    )
    for name, ways in WAYS.items()
    for number, way in enumerate(ways)
]


@pytest.mark.parametrize(("name", "hold", "legacy"), CASES)
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
    """Networks recognized by shapes alone; their weights are too many to save in a test."""
    from fastdepth_ros.nn.importers.authors import layer_names

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


def test_an_imported_variant_becomes_an_artifact_of_every_backend(tmp_path, capsys):
    with authors_code(tmp_path) as models:
        network = theirs(models, "mobilenet-nnconv5dw-skipconcat")
        path = save({"epoch": 1, "model": torch.nn.DataParallel(network)}, tmp_path / "theirs.pth.tar", legacy=True)
    assert main(["models", "import", str(path), "--out", str(tmp_path / "artifact")]) == 0
    manifest = json.loads((tmp_path / "artifact" / "manifest.json").read_text())
    assert manifest["variant"] == VARIANTS["mobilenet-nnconv5dw-skipconcat"]
    assert main(["models", "verify", str(tmp_path / "artifact")]) in (0, 1)  # 1 where an engine is not installed
    said = capsys.readouterr().out
    for backend in ("pytorch", "onnxruntime"):
        assert re.search(rf"^{backend}: .* computes artifact$", said, re.MULTILINE)


@pytest.mark.parametrize("entry", ["mobilenet-nnconv5", "mobilenet-nnconv5dw"])
def test_a_published_variant_is_fetched_and_another_by_its_name_refused(tmp_path, entry, capsys):
    """The files lie where `fetch` keeps them, so that it asks no server."""
    other = "mobilenet-nnconv5dw" if entry == "mobilenet-nnconv5" else "mobilenet-deconv5dw"
    kept, out = tmp_path / f"{entry}.pth.tar", tmp_path / "artifact"
    with authors_code(tmp_path) as models:
        save({"model": theirs(models, other)}, kept)
        assert main(["models", "fetch", entry, "--out", str(out)]) == 1
        error = capsys.readouterr().err
        assert f"the catalog says {entry} of {entry}" in error and error.count("\n") == 1
        assert not out.exists()
        save({"model": theirs(models, entry)}, kept, legacy=True)
    assert main(["models", "fetch", entry, "--out", str(out)]) == 0
    assert json.loads((out / "manifest.json").read_text())["variant"] == VARIANTS[entry]


def test_a_catalog_cannot_ask_for_a_pruned_variant(tmp_path, capsys):
    content = json.loads(files("fastdepth_ros.artifact").joinpath("catalog.json").read_text())
    content["models"][0]["channels"] = "pruned"
    (tmp_path / "catalog.json").write_text(json.dumps(content))
    where = ["--catalogue", str(tmp_path / "catalog.json"), "--out", str(tmp_path / "artifact")]
    assert main(["models", "fetch", "mobilenet-nnconv5", *where]) == 1
    assert "is a mobilenet-nnconv5, which is read unpruned only" in capsys.readouterr().err


# --- what is refused --------------------------------------------------------------------------------------------------


def test_networks_that_are_not_read_are_named_as_the_authors_do_and_why(tmp_path):
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
