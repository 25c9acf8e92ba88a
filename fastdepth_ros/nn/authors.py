"""What the layers of the FastDepth authors' networks are called in their checkpoints, and which network has which."""

from __future__ import annotations

from collections.abc import Mapping

from fastdepth_ros.nn.channels import ENCODER_STRIDES

SKIP_ADD = "mobilenet-nnconv5dw-skipadd"  # the paper's FastDepth, pruned or not

# The first tensor of a part tells it; a depthwise layer is nested one deeper.
ENCODERS = {
    "conv0.0.weight": "mobilenet",
    "mobilenet.0.0.weight": "mobilenet",
    "layer1.0.conv1.weight": "resnet",
}
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
SAME_NAMES = {"BLConv": "blconv", "ShuffleConv": "shuffle"}  # decoders that differ from nnconv in their forward only


def variant_name(shapes: Mapping[str, tuple[int, ...]], kinds: Mapping[str, str]) -> str:
    """What the authors call the network that has these tensors, ``mobilenet-nnconv5dw-skipadd``.

    Args:
        shapes: by the authors' names.
        kinds: class of each layer by its name, of the whole by ""; empty for a state dict.

    Returns:
        The name, or "" where no network of theirs has such tensors.
    """
    encoder = next((name for first, name in ENCODERS.items() if first in shapes), "")
    first = next((first for first in DECODERS if first in shapes), "")
    if not encoder or not first:
        return ""
    decoder = DECODERS[first].format(shapes[first][-1])
    decoder = decoder.replace("nnconv", SAME_NAMES.get(kinds.get("decoder", ""), "nnconv"))
    if not first.startswith("decode_conv"):
        return f"{encoder}-{decoder}"
    return f"{encoder}-{decoder}-{kinds[''].lower().removeprefix(encoder) if kinds else _skips(shapes, decoder)}"


def _skips(shapes: Mapping[str, tuple[int, ...]], decoder: str) -> str:
    """The third decoder layer reads as many channels as the second one writes where skips are added, else more."""
    written, read, axis = ("1.0", "0.0", 0) if decoder.endswith("dw") else ("0", "0", 1)
    before, after = shapes.get(f"decode_conv2.{written}.weight"), shapes.get(f"decode_conv3.{read}.weight")
    added = before is not None and after is not None and before[0] == after[axis]
    return "skipadd" if added else "skipconcat"


def encoder_names(theirs: str) -> dict[str, str]:
    """Our names of MobileNet's layers, and the authors'.

    Args:
        theirs: pattern of a layer's name: ``conv{}`` with skips, ``mobilenet.{}`` without, ``model.{}`` on ImageNet.
    """
    names = {}
    for layer in range(len(ENCODER_STRIDES)):
        parts = ("",) if layer == 0 else ("dw.", "pw.")
        ours = [f"encoder.{layer}.{part}{kind}" for part in parts for kind in ("conv", "bn", "act")]
        names.update({name: f"{theirs.format(layer)}.{index}" for index, name in enumerate(ours)})
    return names


def decoder_names(theirs: str) -> dict[str, str]:
    """Our names of the depthwise NNConv5 layers and the head, and the authors'.

    Args:
        theirs: pattern of a layer's name: ``decode_conv{}`` with skips, ``decoder.conv{}`` without.
    """
    names = {
        f"decoder.{layer}.{part}.{kind}": f"{theirs.format(layer + 1)}.{number}.{index}"
        for layer in range(5)
        for number, part in enumerate(("dw", "pw"))
        for index, kind in enumerate(("conv", "bn", "act"))
    }
    return {**names, "head": f"{theirs.format(6)}.0"}
