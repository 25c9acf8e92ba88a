"""Checkpoints: safetensors whose metadata name the network: a channel list, or the parts of a variant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_file
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.network import DepthNetwork, FastDepth

AnyNetwork = TypeVar("AnyNetwork", bound=DepthNetwork)


class CheckpointError(FastDepthError):
    """A file that is no checkpoint of ours, or one that does not fit."""


def save_checkpoint(
    network: DepthNetwork, path: Path, notes: Mapping[str, str] | None = None, *, half: bool = False
) -> None:
    """Write a network, whole or not at all.

    Args:
        notes: further metadata, text by name.
        half: kernels as float16; biases and batch norm, whose variances may leave its range, stay float32.
    """
    description = {key: json.dumps(value) for key, value in network.description().items()}
    metadata = {**(notes or {}), **description}
    if network.confidence is not None:
        metadata["confidence"] = json.dumps(network.confidence.description())
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.ndim == 4 else tensor for name, tensor in tensors.items()}
    with atomic_file(path) as partial:
        save_file(tensors, partial, metadata)
        partial.chmod(0o644)  # safetensors writes it for its owner alone


def load_checkpoint(path: Path) -> tuple[DepthNetwork, dict[str, str]]:
    """Read a network, in eval mode on the CPU, folded or with batch norm as it was saved, and its metadata.

    Raises:
        CheckpointError: not a safetensors file, no network named inside, or tensors that do not fit it.
    """
    if (path / "manifest.json").is_file():
        raise CheckpointError(
            f"{path} is an artifact, no checkpoint",
            "give its model.safetensors; an imported network has none, and can be neither trained nor pruned here",
        )
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    try:
        if "channels" in metadata:
            head = _head(metadata, tensors)
            return network_of(Channels.from_mapping(json.loads(metadata["channels"])), tensors, head), metadata
        if "variant" in metadata:
            with torch.device("meta"):
                network = DepthNetwork.of(**json.loads(metadata["variant"]))
                if (head := _head(metadata, tensors)) is not None:
                    network.add_confidence(**head)
            return _filled(network, tensors), metadata
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} names no network that there is: {error}") from error
    raise CheckpointError(f"{path} has no channel list in its metadata; was it written by this package?")


def _head(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Description of a confidence head, None without one; the first heads did not say how many maps they read."""
    if "confidence" not in metadata:
        return None
    maps = sum(name.startswith("confidence.first.") and name.endswith(".weight") for name in tensors)
    return {"maps": maps, **json.loads(metadata["confidence"])}


def load_fastdepth(path: Path) -> tuple[FastDepth, dict[str, str]]:
    """`load_checkpoint` of a network that has a channel list; raises CheckpointError for another variant."""
    network, metadata = load_checkpoint(path)
    if not isinstance(network, FastDepth):
        raise CheckpointError(f"{path} is no FastDepth of a channel list")
    return network, metadata


def network_of(channels: Channels, tensors: Mapping[str, Tensor], head: Mapping[str, Any] | None = None) -> FastDepth:
    """The FastDepth that a state dict belongs to, folded or with batch norm, in eval mode.

    Args:
        head: description of its confidence head; None: it has none.

    Raises:
        CheckpointError: tensors missing, unknown or of another shape.
    """
    with torch.device("meta"):  # what a file claims costs no memory before it is checked
        network = FastDepth(channels, batch_norm=any(".bn." in name for name in tensors))
        if head is not None:
            network.add_confidence(**head)
    return _filled(network, tensors)


def _filled(network: AnyNetwork, tensors: Mapping[str, Tensor]) -> AnyNetwork:
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    try:
        network.load_state_dict(floats, assign=True)
    except RuntimeError as error:
        raise CheckpointError(str(error)) from error
    return network.eval()


def fingerprint(network: nn.Module) -> str:
    """sha256 of all that a network has learned."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def folded(network: FastDepth) -> FastDepth:
    """The same function with each batch norm folded into the convolution before it."""
    plain = FastDepth(network.channels, batch_norm=False).eval()
    if network.confidence is not None:
        plain.add_confidence(**network.confidence.description())
    tensors = dict(network.state_dict())
    for name, block in network.named_modules():
        bn = getattr(block, "bn", None)
        if isinstance(bn, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(block.conv.eval(), bn.eval())
            tensors[f"{name}.conv.weight"], tensors[f"{name}.conv.bias"] = fused.weight, fused.bias
    with torch.no_grad():
        plain.load_state_dict({name: tensors[name] for name in plain.state_dict()})
    return plain
