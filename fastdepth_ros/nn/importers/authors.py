"""Layer names in the checkpoints of the FastDepth authors, by network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from fastdepth_ros.nn.channels import ENCODER_STRIDES

SKIP_ADD = "mobilenet-nnconv5dw-skipadd"  # the paper's FastDepth, pruned or not

# The first tensor of a part tells it; a depthwise layer is nested one deeper.
ENCODERS = {"conv0.0.weight": "mobilenet", "mobilenet.0.0.weight": "mobilenet", "layer1.0.conv1.weight": "resnet"}
DECODERS = {
    "decode_conv1.0.weight": "nnconv{}",
    "decode_conv1.0.0.weight": "nnconv{}dw",
    "decoder.conv1.0.weight": "nnconv{}",
    "decoder.conv1.0.0.weight": "nnconv{}dw",
    "decoder.convt1.0.weight": "deconv{}",
    "decoder.convt1.0.0.weight": "deconv{}dw",
    "decoder.upconv1.1.weight": "upconv",
    "decoder.upproj1.branch1.0.weight": "upproj",
}
SAME_NAMES = {"BLConv": "blconv", "ShuffleConv": "shuffle"}  # decoders whose layers are called as those of nnconv
SHUFFLE_LACKS = ("decoder.conv5.", "decoder.conv6.")
RESNETS = {  # bottlenecks or not, and the blocks of the four stages
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}

KERNELS = {"": "standard", "dw": "depthwise"}
# Our layers inside one of the decoder, and theirs; their upconv begins with the unpooling, which has no weights.
STANDARD = {"conv": "0", "bn": "1", "act": "2"}
DEPTHWISE = {
    f"{part}.{kind}": f"{number}.{index}"
    for number, part in enumerate(("dw", "pw"))
    for kind, index in STANDARD.items()
}
UPCONV = {"conv": "1", "bn": "2", "act": "3"}
UPPROJ = {
    "first.conv": "branch1.0", "first.bn": "branch1.1", "first.act": "branch1.2",
    "second.conv": "branch1.3", "second.bn": "branch1.4",
    "shortcut.conv": "branch2.0", "shortcut.bn": "branch2.1",
}  # fmt: skip
UNREAD = {  # of the networks that no variant of ours computes
    r"resnet.*-skipadd": "its five skips are added before each upsample, here three are added after it",
    r"resnet.*-skipconcat": "it concatenates the map at 1/16 too, here those at 1/8, 1/4 and 1/2 alone",
    r".*-blconv": "it upsamples bilinearly, which no decoder here does",
    r".*-shuffle": "it upsamples by shuffling pixels, which no decoder here does",
    r".*-(nnconv|deconv)[^5]": "the kernels of its decoder are not 5x5",
    r"resnet(34|101|152)?-": "the ResNets here are 18 and 50",
}


def _variants() -> Iterator[tuple[str, dict[str, str]]]:
    def parts(encoder: str, decoder: str, kernel: str, skip: str) -> dict[str, str]:
        return {"encoder": encoder, "decoder": decoder, "kernel": kernel, "skip": skip}

    for encoder in ("mobilenet", "resnet18", "resnet50"):
        for suffix, kernel in KERNELS.items():
            for decoder in ("nnconv5", "deconv5"):
                yield f"{encoder}-{decoder}{suffix}", parts(encoder, decoder, kernel, "none")
        for decoder in ("upconv", "upproj"):
            yield f"{encoder}-{decoder}", parts(encoder, decoder, "standard", "none")
    for suffix, kernel in KERNELS.items():
        for skip in ("add", "concat"):
            yield f"mobilenet-nnconv5{suffix}-skip{skip}", parts("mobilenet", "nnconv5", kernel, skip)


VARIANTS = dict(_variants())  # the authors' name of a network -> the parts of ours that computes the same


def variant_name(shapes: Mapping[str, tuple[int, ...]], kinds: Mapping[str, str]) -> str:
    """Authors' name of the network with these tensors, such as ``mobilenet-nnconv5dw-skipadd``.

    Args:
        shapes: shapes by the authors' names.
        kinds: class of each layer by its name, of the whole by ""; empty for a state dict.

    Returns:
        The name, or "" where no network of theirs has such tensors. ResNets have their number: ``resnet18-upproj``.
    """
    family = next((name for first, name in ENCODERS.items() if first in shapes), "")
    first = next((first for first in DECODERS if first in shapes), "")
    if not family or not first:
        return ""
    encoder = _resnet(shapes) if family == "resnet" else family
    decoder = DECODERS[first].format("".join(map(str, shapes[first][-1:])))
    like = SAME_NAMES.get(kinds.get("decoder", ""), "nnconv")
    if first.startswith("decoder.conv1") and not any(name.startswith(SHUFFLE_LACKS) for name in shapes):
        like = "shuffle"
    decoder = decoder.replace("nnconv", like)
    if not first.startswith("decode_conv"):
        return f"{encoder}-{decoder}"
    return f"{encoder}-{decoder}-{kinds[''].lower().removeprefix(family) if kinds else _skips(shapes, decoder)}"


def why_unread(variant: str) -> str:
    """Reason why a network of the authors, given by name, cannot be read here.

    >>> why_unread("resnet34-upproj")
    'the ResNets here are 18 and 50'
    """
    for pattern, reason in UNREAD.items():
        if re.match(pattern, variant):
            return reason
    return f"it reads {', '.join(sorted(VARIANTS))}"


def _resnet(shapes: Mapping[str, tuple[int, ...]]) -> str:
    def blocks(stage: int) -> int:
        return len({name.split(".")[1] for name in shapes if name.startswith(f"layer{stage}.")})

    return RESNETS.get(("layer1.0.conv3.weight" in shapes, (blocks(1), blocks(2), blocks(3), blocks(4))), "resnet")


def _skips(shapes: Mapping[str, tuple[int, ...]], decoder: str) -> str:
    """The third decoder layer reads as many channels as the second one writes where skips are added, else more."""
    written, read, axis = ("1.0", "0.0", 0) if decoder.endswith("dw") else ("0", "0", 1)
    before, after = (shapes.get(f"decode_conv{name}.weight", ()) for name in (f"2.{written}", f"3.{read}"))
    added = bool(before) and before[:1] == after[axis : axis + 1]
    return "skipadd" if added else "skipconcat"


def layer_names(variant: str, ours: Iterable[str]) -> tuple[dict[str, str], str]:
    """The authors' name of each layer by ours, and that of the batch norm after their head.

    Args:
        variant: one of `VARIANTS`.
        ours: the names of all our layers.
    """
    parts = VARIANTS[variant]
    skips = parts["skip"] != "none"
    if parts["encoder"] == "mobilenet":
        encoder = encoder_names("conv{}" if skips else "mobilenet.{}")
    else:  # torchvision's names, and its own for the appended 1x1
        inner = [name for name in ours if name.startswith("encoder.")]
        encoder = {name: name.removeprefix("encoder.").replace("project", "conv2") for name in inner}
    inside = DEPTHWISE if parts["kernel"] == "depthwise" else STANDARD
    theirs, last, inside = {
        "nnconv5": ("decoder.conv{}", "decoder.conv6", inside),
        "deconv5": ("decoder.convt{}", "decoder.convf", inside),
        "upconv": ("decoder.upconv{}", "decoder.convf", UPCONV),
        "upproj": ("decoder.upproj{}", "decoder.convf", UPPROJ),
    }[parts["decoder"]]
    if skips:
        theirs, last = "decode_conv{}", "decode_conv6"
    decoder = {
        f"decoder.{layer}.{name}": f"{theirs.format(layer + 1)}.{index}"
        for layer in range(5)
        for name, index in inside.items()
    }
    return {**encoder, **decoder, "head": f"{last}.0"}, f"{last}.1"


def encoder_names(theirs: str) -> dict[str, str]:
    """Our names of MobileNet's layers, and the authors'.

    Args:
        theirs: pattern of a layer's name: ``conv{}`` with skips, ``mobilenet.{}`` without, ``model.{}`` on ImageNet.

    >>> encoder_names("model.{}")["encoder.1.pw.bn"]
    'model.1.4'
    """
    names = {}
    for layer in range(len(ENCODER_STRIDES)):
        parts = ("",) if layer == 0 else ("dw.", "pw.")
        ours = [f"encoder.{layer}.{part}{kind}" for part in parts for kind in ("conv", "bn", "act")]
        names.update({name: f"{theirs.format(layer)}.{index}" for index, name in enumerate(ours)})
    return names
