"""The network as a robot runs it: uint8 pixels in, scaling inside, the head before the last upsample."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from fastdepth_ros.nn.checkpoints import folded
from fastdepth_ros.nn.layers import upsample
from fastdepth_ros.nn.network import DepthNetwork, FastDepth

OPSET = 17  # what the oldest supported ONNX Runtime (1.12, 2022) reads


class Deployed(nn.Module):
    """Computes what `FastDepth` computes, from the resized camera frame as it lies in memory.

    Batch norm is folded, 1/255 is folded into the first kernel, and the last 1x1 convolution and its ReLU run at
    112x112: both act on each pixel alone, so they commute with the nearest upsample that follows.
    """

    rewritings = ("batch_norm_folded", "scaling_in_first_kernel", "head_before_last_upsample")

    def __init__(self, network: FastDepth) -> None:
        super().__init__()
        self.network = folded(network)
        with torch.no_grad():
            self.network.encoder[0].get_parameter("conv.weight").div_(255)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """uint8 (N, 224, 224, 3) to float32 meters (N, 1, 224, 224), and the confidence where the network has it."""
        maps = self.network.maps(rgb.permute(0, 3, 1, 2).float())
        return _with_confidence(self.network, maps, upsample(self.network.half_depth(maps)))


class DeployedVariant(nn.Module):
    """Any other variant as it is, from the same input; the export to ONNX folds its batch norm."""

    rewritings = ("batch_norm_folded",)

    def __init__(self, network: DepthNetwork) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """uint8 (N, 224, 224, 3) to float32 meters (N, 1, 224, 224), and the confidence where the network has it."""
        maps = self.network.maps(rgb.permute(0, 3, 1, 2).float() / 255)
        return _with_confidence(self.network, maps, self.network.depth(maps))


def _with_confidence(network: DepthNetwork, maps: list[Tensor], depth: Tensor) -> tuple[Tensor, ...]:
    return (depth,) if network.confidence is None else (depth, network.confidence(maps))


def output_names(network: DepthNetwork) -> tuple[str, ...]:
    """Names of what the deployed form returns."""
    return ("depth",) if network.confidence is None else ("depth", "confidence")


def deployed(network: DepthNetwork) -> Deployed | DeployedVariant:
    """Network in the form that a backend runs."""
    return Deployed(network) if isinstance(network, FastDepth) else DeployedVariant(network)


def traced_onnx(
    module: nn.Module, example: Tensor, *, names: tuple[str, ...] | None = None, opset: int = OPSET
) -> bytes:
    """ONNX of any module in eval mode, with its batch norm folded.

    The tracing exporter is deprecated, but the new one turns the pads and the upsample into larger graphs.

    Args:
        example: the input; its shape becomes the graph's.
        names: names of the graph's input, then of its outputs; None takes the exporter's own.
    """
    inputs, outputs = (names[:1], names[1:]) if names else (None, None)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.onnx"
        torch.onnx.export(
            module.eval(), (example,), file, input_names=inputs, output_names=outputs, opset_version=opset, dynamo=False
        )
        return file.read_bytes()


class DoublePointwise(nn.Module):
    """A 1x1 convolution of one image whose sums are kept in float64.

    The float32 sums of oneDNN over hundreds of channels put the depth off by some 4e-6 of itself, 0.1 mm at 30 m; on
    the CPU these cost about a quarter of the network's time more.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.register_buffer("weight", convolution.weight.detach()[:, :, 0, 0].double())
        self.register_buffer("bias", convolution.get_parameter("bias").detach().double()[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """float32 (1, inputs, H, W) to float32 (1, outputs, H, W)."""
        sums = torch.addmm(self.get_buffer("bias"), self.get_buffer("weight"), x.flatten(2)[0].double())
        return sums.float().unflatten(1, x.shape[2:])[None]


def sharpen(network: FastDepth) -> None:
    """Let the encoder of a folded network sum in float64, in place."""
    for number in range(1, len(network.channels.encoder)):
        pointwise = network.get_submodule(f"encoder.{number}.pw")
        pointwise.conv = DoublePointwise(cast(nn.Conv2d, pointwise.conv))
