"""Checkpoints of other code, read as the network of this package: the FastDepth authors' first of all.

The authors pickle whole modules, alone or as ``{"epoch", "best_result", "model"}``. Shapes, strides, padding and
activations of every layer are compared with ours: weights that fit a network which computes something else would be
worse than none. What no file can say is the authors' `forward`; the name of the class stands for that. A state dict
names no class: one of their NNConv decoder is taken for that, though BLConv, of which no weights are published, has
the same tensors.

To read a further variant, add to `authors.VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint, network_of
from fastdepth_ros.nn.encoders import MobileNet, load_classifier
from fastdepth_ros.nn.importers.authors import SKIP_ADD, VARIANTS, encoder_names, layer_names, variant_name, why_unread
from fastdepth_ros.nn.importers.pickle_stubs import Shell, StoredTensor
from fastdepth_ros.nn.importers.tflite import import_tflite
from fastdepth_ros.nn.importers.tfslim import KERAS_SUFFIXES, read_tfslim_mobilenet
from fastdepth_ros.nn.importers.unpickle import Saved, read_saved
from fastdepth_ros.nn.network import DepthNetwork, FastDepth

HOLDERS = ("model", "state_dict", "model_state_dict")  # keys under which a checkpoint keeps its network
PARALLEL = ("DataParallel", "DistributedDataParallel")
DEEPEST, MOST_LAYERS = 16, 5000  # a hostile module may contain itself
LAYER_OPTIONS = (
    "kernel_size", "stride", "padding", "padding_mode", "output_padding", "dilation", "groups", "eps", "ceil_mode",
)  # fmt: skip
UNPOOL_KERNEL = [[[[1.0, 0.0], [0.0, 0.0]]]]
WITHOUT_COUNTERPART = ("Dropout", "Dropout2d", "Identity", "ReLU", "Sequential", "Unpool")  # `forward` has them here
EPS = 1e-5  # of every batch norm, the authors' and ours


def import_network(path: Path) -> DepthNetwork:
    """Read a network from any file that one of the importers takes; its first bytes choose which.

    Args:
        path: TFLite, safetensors of this package, or a file of `torch.save`.

    Returns:
        The network in eval mode on the CPU.

    Raises:
        CheckpointError: no such file, or what the importer found wrong with it.
    """
    if not path.is_file():
        raise CheckpointError(f"no model at {path}")
    with path.open("rb") as file:
        first = file.read(9)
    if first[4:8] == b"TFL3" or path.suffix == ".tflite":
        return import_tflite(path)
    if first[8:] == b"{" or path.suffix == ".safetensors":  # eight bytes of length, then JSON
        return load_checkpoint(path)[0]
    return import_foreign(path)


def import_foreign(path: Path) -> DepthNetwork:
    """Read a network from a file of `torch.save`: the authors' module or its state dict, or a state dict of ours.

    Args:
        path: zip or legacy format; weights may have been on a GPU and in DataParallel. The channels of FastDepth may
            be pruned, those of the other variants may not.

    Returns:
        The network with its batch norms, but for the one that the authors have after the head, which is folded
        into it; float32, in eval mode on the CPU.

    Raises:
        CheckpointError: not such a file, names in it that are not allowed, or another network.
    """
    foreign = _read_foreign(path)
    if "encoder.0.conv.weight" in foreign.tensors:
        return _own(foreign)
    variant = variant_name({name: stored.size for name, stored in foreign.tensors.items()}, foreign.kinds())
    if not variant:
        first = ", ".join(list(foreign.tensors)[:3]) or "no tensor"
        raise CheckpointError(f"{path} is neither a network of the FastDepth authors nor ours, it has {first}")
    if variant not in LAYOUTS:
        raise CheckpointError(
            f"{path} is the authors' {variant}, which this package does not read: {why_unread(variant)}"
        )
    return LAYOUTS[variant](foreign)


def load_imagenet_encoder(network: DepthNetwork, path: Path) -> None:
    """Start an encoder from a network that was trained to classify ImageNet.

    Args:
        network: its encoder's weights and batch norms are replaced. MobileNet is unpruned, as the classifier is.
        path: file of the classifier. For MobileNet the authors' file, ``{"state_dict": {"module.model.0.0.weight":
            ...}}``, also without `module.` or as a whole module, or Google's classifier as `.npz` of TF-Slim or `.h5`
            of Keras (`tfslim`). For another encoder the state dict of the classifier that it was cut from.

    Raises:
        CheckpointError: not such a file, or an encoder with other channels or without batch norm.
    """
    encoder = network.get_submodule("encoder")
    if path.suffix in (".npz", *KERAS_SUFFIXES):
        _load_tfslim(encoder, path)
        return
    foreign = _read_foreign(path)
    if not isinstance(encoder, MobileNet):
        try:
            load_classifier(encoder, {name: foreign.tensor(name) for name in foreign.tensors})
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return
    if "model.0.0.weight" not in foreign.tensors:
        raise CheckpointError(f"{path} is no MobileNet classifier of the FastDepth authors: it lacks model.0.0.weight")
    expected = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("encoder.")}
    if "encoder.0.bn.weight" not in expected:
        raise CheckpointError("ImageNet weights need an encoder with batch norm, this one is folded")
    tensors = foreign.matching(network, expected, encoder_names("model.{}"))
    network.load_state_dict(tensors, strict=False)


def _load_tfslim(encoder: nn.Module, path: Path) -> None:
    if not isinstance(encoder, MobileNet):
        raise CheckpointError(f"{path} is of Google's MobileNet v1, the encoder is a {type(encoder).__name__}")
    expected = {name: value.shape for name, value in encoder.state_dict().items() if "num_batches" not in name}
    try:
        tensors = read_tfslim_mobilenet(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    wrong = [name for name, shape in expected.items() if name not in tensors or tensors[name].shape != shape]
    if wrong or len(tensors) != len(expected):
        raise CheckpointError(
            f"{path} is of the unpruned MobileNet with batch norm, this encoder differs: {', '.join(wrong[:3])}. "
            "Train with --channels unpruned first, then prune"
        )
    encoder.load_state_dict(tensors, strict=False)


@dataclass(frozen=True)
class _Foreign:
    """A foreign network: its tensors and layers, by the names they have there.

    Attributes:
        layers: the whole is ""; none for a state dict, which says nothing of them.
    """

    saved: Saved
    tensors: Mapping[str, StoredTensor]
    layers: Mapping[str, Shell]

    def kinds(self) -> dict[str, str]:
        return {name: _class_name(shell) for name, shell in self.layers.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        return self._stored(name).size

    def outputs(self, convolution: str) -> int:
        """Number of channels that a convolution writes, 0 for any other layer."""
        return (*self.shape(f"{convolution}.weight"), 0)[0]

    def tensor(self, name: str) -> Tensor:
        tensor = self.saved.tensor(self._stored(name))
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{self.saved.path}: {name} holds numbers that are not finite")
        return tensor

    def matching(
        self, network: nn.Module, expected: Mapping[str, Tensor], layers: Mapping[str, str]
    ) -> dict[str, Tensor]:
        """The tensors that a network of ours expects, once all that the file says of them fits it.

        Args:
            expected: tensors by our names, of the right shapes; the numbers do not matter.
            layers: the foreign name of each layer by ours.
        """
        tensors = {}
        for name, like in expected.items():
            layer, _, leaf = name.rpartition(".")
            theirs = f"{layers[layer]}.{leaf}"
            if leaf == "num_batches_tracked" and theirs not in self.tensors:  # torch before 0.4.1 did not count
                tensors[name] = torch.zeros((), dtype=torch.long)
                continue
            found, wanted = self.shape(theirs), tuple(like.shape)
            if found != wanted:
                raise CheckpointError(f"{self.saved.path}: {theirs} has shape {found}, this network's {name} {wanted}")
            tensors[name] = self.tensor(theirs)
        for ours, theirs in layers.items():
            if theirs in self.layers:
                self._check_layer(theirs, ours, network.get_submodule(ours))
        return tensors

    def check_rest(self, matched: Container[str]) -> None:
        """Refuse a layer that runs there and has no counterpart here, by its place: in a row, or as an activation."""
        for name, shell in self.layers.items():
            parent, _, leaf = name.rpartition(".")
            runs = leaf == "relu" or (bool(name) and _class_name(self.layers[parent]) == "Sequential")
            if runs and name not in matched and _class_name(shell) not in WITHOUT_COUNTERPART:
                raise CheckpointError(f"{self.saved.path}: {name} is a {_class_name(shell)}, FastDepth has none there")
            if _class_name(shell) == "Unpool":
                self._check_unpool(name, shell)

    def _check_unpool(self, name: str, shell: Shell) -> None:
        """Their unpooling keeps its kernel apart from the weights."""
        stride, mask = shell.state.get("stride"), shell.state.get("mask")
        kernel = self.saved.tensor(mask).tolist() if isinstance(mask, StoredTensor) else None
        if stride != 2 or kernel != UNPOOL_KERNEL:
            raise CheckpointError(
                f"{self.saved.path}: {name} unpools with stride {stride} and kernel {kernel}, FastDepth with 2 and "
                f"{UNPOOL_KERNEL}"
            )

    def _check_layer(self, theirs: str, ours: str, layer: nn.Module) -> None:
        shell = self.layers[theirs]
        pairs: list[tuple[Any, Any]] = [(_class_name(shell), type(layer).__name__)]
        options = [option for option in LAYER_OPTIONS if option in shell.state and hasattr(layer, option)]
        pairs += [(f"{option} {shell.state[option]}", f"{option} {getattr(layer, option)}") for option in options]
        for found, wanted in pairs:
            if found != wanted:
                raise CheckpointError(f"{self.saved.path}: {theirs} has {found}, FastDepth's {ours} {wanted}")

    def _stored(self, name: str) -> StoredTensor:
        if name not in self.tensors:
            raise CheckpointError(f"{self.saved.path} lacks {name}")
        return self.tensors[name]


def _read_foreign(path: Path) -> _Foreign:
    saved = read_saved(path)
    held = saved.root
    for _ in range(DEEPEST):
        if isinstance(held, dict) and any(key in held for key in HOLDERS):
            held = next(held[key] for key in HOLDERS if key in held)
        elif isinstance(held, Shell) and _class_name(held) in PARALLEL:
            held = held.part("_modules").get("module")
    if isinstance(held, Shell):
        layers = dict(_layers(path, held))
        return _Foreign(saved, dict(_tensors(layers)), layers)
    if not isinstance(held, dict) or not any(isinstance(value, StoredTensor) for value in held.values()):
        what = f"a dict of {', '.join(map(str, list(held)[:5]))}" if isinstance(held, dict) else type(held).__name__
        raise CheckpointError(f"{path} holds no network: neither a module nor a state dict but {what}")
    tensors = {str(name): value for name, value in held.items() if isinstance(value, StoredTensor)}
    while all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): stored for name, stored in tensors.items()}
    return _Foreign(saved, tensors, {})


def _layers(path: Path, module: Shell) -> Iterator[tuple[str, Shell]]:
    """A module and all that are nested in it, by their names."""
    waiting, seen = [("", module)], 0
    while waiting:
        name, shell = waiting.pop()
        yield name, shell
        inner = [(f"{name}.{key}".lstrip("."), part) for key, part in shell.part("_modules").items()]
        waiting += [(key, part) for key, part in reversed(inner) if isinstance(part, Shell)]
        seen += len(inner)
        if seen > MOST_LAYERS or name.count(".") > DEEPEST:
            raise CheckpointError(f"{path} nests more layers than any FastDepth network has")


def _tensors(layers: Mapping[str, Shell]) -> Iterator[tuple[str, StoredTensor]]:
    for name, shell in layers.items():
        for key, stored in {**shell.part("_parameters"), **shell.part("_buffers")}.items():
            if isinstance(stored, StoredTensor):
                yield f"{name}.{key}".lstrip("."), stored


def _class_name(shell: Shell) -> str:
    return shell.kind.rpartition(".")[2]


def _own(foreign: _Foreign) -> FastDepth:
    """A state dict with our own names."""
    batch_norm = "encoder.0.bn.weight" in foreign.tensors
    plan = _skeleton(Channels((1,) * 14, (1,) * 5), batch_norm=batch_norm)
    layers = {name: name for name, _ in plan.named_modules()}
    return network_of(*_matched(foreign, layers, batch_norm=batch_norm))


def _skip_add(foreign: _Foreign) -> FastDepth:
    """The authors' MobileNetSkipAdd, of any channel list."""
    return network_of(*_matched(foreign, *layer_names(SKIP_ADD, ())))


def _variant(foreign: _Foreign, *, name: str) -> DepthNetwork:
    """Another network of the authors, with the channels that they gave it."""
    with torch.device("meta"):
        network = DepthNetwork.of(**VARIANTS[name])
    layers, after_head = layer_names(name, [ours for ours, _ in network.named_modules()])
    for ours, like in network.named_parameters():
        theirs, wanted = _named(layers, ours), tuple(like.shape)
        found = foreign.shape(theirs) if len(wanted) == 4 else ()
        if found[2:] == wanted[2:] and any(one < other for one, other in zip(found, wanted)):
            raise CheckpointError(
                f"{foreign.saved.path} is a pruned {name}: {theirs} has shape {found}, unpruned {wanted}; "
                f"{SKIP_ADD} is the only network that is read with other channels"
            )
    tensors = _tensors_of(foreign, network, layers, after_head)
    network.to_empty(device="cpu").load_state_dict(tensors)
    return network.eval()


LAYOUTS: dict[str, Callable[[_Foreign], DepthNetwork]] = {
    **{name: partial(_variant, name=name) for name in VARIANTS},
    SKIP_ADD: _skip_add,
}


def _matched(
    foreign: _Foreign, layers: Mapping[str, str], after_head: str = "", *, batch_norm: bool = True
) -> tuple[Channels, dict[str, Tensor]]:
    """Channels, and the state dict of the FastDepth that has them; arguments as those of `_tensors_of`."""
    blocks = ["encoder.0.conv", *(f"encoder.{layer}.pw.conv" for layer in range(1, 14))]
    encoder = tuple(foreign.outputs(layers[name]) for name in blocks)
    decoder = tuple(foreign.outputs(layers[f"decoder.{layer}.pw.conv"]) for layer in range(5))
    try:
        channels = Channels(encoder, decoder)
    except ValueError as error:
        raise CheckpointError(f"{foreign.saved.path}: {error}") from error
    return channels, _tensors_of(foreign, _skeleton(channels, batch_norm=batch_norm), layers, after_head)


def _tensors_of(foreign: _Foreign, plan: DepthNetwork, layers: Mapping[str, str], after_head: str) -> dict[str, Tensor]:
    """The state dict of a network of ours, once the file is found to hold that network and nothing else.

    Args:
        plan: the network without numbers.
        layers: the foreign name of each layer by ours.
        after_head: name of a batch norm to fold into the head, "" where there is none.
    """
    expected = plan.state_dict()
    if after_head:
        expected.pop("head.bias")
    tensors = foreign.matching(plan, expected, layers)
    used = {_named(layers, name) for name in expected}
    unused = [name for name in foreign.tensors if name not in used and name.rpartition(".")[0] != after_head]
    if unused:
        raise CheckpointError(f"{foreign.saved.path} has {', '.join(unused[:3])}, FastDepth has no such tensor")
    if after_head:
        tensors["head.weight"], tensors["head.bias"] = _folded_head(foreign, tensors["head.weight"], after_head)
    foreign.check_rest({*layers.values(), after_head})
    return tensors


def _named(layers: Mapping[str, str], tensor: str) -> str:
    """The foreign name of a tensor of ours."""
    layer, _, leaf = tensor.rpartition(".")
    return f"{layers[layer]}.{leaf}"


def _skeleton(channels: Channels, *, batch_norm: bool) -> FastDepth:
    """Shapes without numbers: what a file claims costs no memory before it is checked."""
    with torch.device("meta"):
        return FastDepth(channels, batch_norm=batch_norm)


def _folded_head(foreign: _Foreign, weight: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """The head with the batch norm after it, of one channel, in it: (1, C, 1, 1) and (1,)."""
    like = nn.ModuleDict({"norm": nn.BatchNorm2d(1, EPS)})
    found = foreign.matching(like, like.state_dict(), {"norm": norm})
    gain, bias, mean, variance = (
        found[f"norm.{leaf}"].double() for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / torch.sqrt(variance + EPS)
    return (weight.double() * scale.view(1, 1, 1, 1)).float(), (bias - mean * scale).float()
