"""Filters out of a trained network, those of the smallest L2 norm, the same on both sides of a skip; or new ones in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import PARTS, SKIPS, Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint
from fastdepth_ros.nn.network import DepthNetwork, FastDepth, initialize

Layer = tuple[str, int]  # part and number: ("encoder", 5), ("decoder", 1); the decoder's numbers start at 0 here


def slimmed(network: FastDepth, channels: Channels) -> FastDepth:
    """The network with fewer filters, those of the largest norm, in their old order.

    Args:
        network: network with batch norm, which scales a filter and so its norm.
        channels: counts, none above the network's own.

    Raises:
        ValueError: a layer would have to grow, or the network's batch norm is folded.
    """
    _require_batch_norm(network)
    kept = {layer: _largest(norms, _count(channels, layer)) for layer, norms in filter_norms(network).items()}
    tensors = {}
    inputs = torch.arange(3)
    for layer in kept:
        part, number = layer
        prefix = f"{part}.{number}."
        for name, tensor in network.state_dict().items():
            if name.startswith(prefix):
                tensors[name] = _taken(name, tensor, inputs, kept[layer])
        inputs = kept[layer]
    head = network.head.state_dict()
    tensors |= {"head.weight": head["weight"][:, inputs], "head.bias": head["bias"]}
    slim = FastDepth(channels)
    slim.load_state_dict(tensors)
    return slim.train(network.training)


def widened(network: FastDepth, channels: Channels, *, seed: int = 0) -> FastDepth:
    """The network with more filters: it computes what it did, as nothing of the new ones reaches an old one yet.

    Args:
        network: network with batch norm.
        channels: none under the network's own.
        seed: seed of the new filters, which are drawn as those of a new network.

    Raises:
        ValueError: a layer would have to shrink, or the network's batch norm is folded.
    """
    _require_batch_norm(network)
    wide = FastDepth(channels)
    initialize(wide, seed=seed)
    for name, grown in wide.state_dict().items():
        kept = network.state_dict()[name]
        if any(new < old for new, old in zip(grown.shape, kept.shape)):
            raise FastDepthError(f"{tuple(kept.shape)} of {name} cannot become {tuple(grown.shape)}")
        if grown.ndim == 4:
            grown[: len(kept)] = 0
        grown[tuple(slice(length) for length in kept.shape)] = kept
    return wide.train(network.training)


def filter_norms(network: FastDepth) -> dict[Layer, Tensor]:
    """L2 norm of each filter as it is deployed, scaled by its batch norm; that of two tied filters is their joint one.

    Returns:
        (channels,) of each layer, in the order in which they run.
    """
    squares: dict[Layer, Tensor] = {}
    for part in PARTS:
        for number, block in enumerate(getattr(network, part)):
            last = block.pw if hasattr(block, "pw") else block
            scale = last.bn.weight / (last.bn.running_var + last.bn.eps).sqrt()
            squares[part, number] = (last.conv.weight.flatten(1).square().sum(1) * scale.square()).detach()
    for encoder, decoder in SKIPS.items():
        tied = squares["encoder", encoder] + squares["decoder", decoder - 1]
        squares["encoder", encoder] = squares["decoder", decoder - 1] = tied
    return {layer: square.sqrt() for layer, square in squares.items()}


def _require_batch_norm(network: FastDepth) -> None:
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise FastDepthError("this network's batch norm is folded into its filters; filters come and go with their own")


def _count(channels: Channels, layer: Layer) -> int:
    return channels.as_mapping()[layer[0]][layer[1]]


def _largest(norms: Tensor, count: int) -> Tensor:
    if count > len(norms):
        raise FastDepthError(f"{len(norms)} filters cannot become {count}")
    return norms.topk(count).indices.sort().values


def _taken(name: str, tensor: Tensor, inputs: Tensor, outputs: Tensor) -> Tensor:
    """The part of a layer's tensor that stays; a depthwise convolution has its inputs' filters."""
    if not tensor.ndim:
        return tensor  # the count of batches
    if ".dw." in name:
        return tensor[inputs]
    return tensor[outputs][:, inputs] if tensor.ndim == 4 else tensor[outputs]


def resized_checkpoint(checkpoint: Path, channels: Channels | None) -> DepthNetwork:
    """The network of a checkpoint; with other `channels`, widened where one layer grows, else slimmed.

    Raises:
        CheckpointError: not a checkpoint; or channels are given and the network is not FastDepth.
        FastDepthError: as `slimmed` and `widened`.
    """
    network, _ = load_checkpoint(checkpoint)
    if channels is None:
        return network
    if not isinstance(network, FastDepth):
        raise CheckpointError(f"{checkpoint} is another variant than FastDepth, it has no list of --channels")
    counts = [(*each.encoder, *each.decoder) for each in (channels, network.channels)]
    grows = any(new > old for new, old in zip(*counts))
    return (widened if grows else slimmed)(network, channels)
