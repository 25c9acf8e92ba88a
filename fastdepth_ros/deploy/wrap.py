"""Wrapping of a foreign ONNX graph: uint8 picture in, float32 depth out, as every artifact has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fastdepth_ros.backends.channels import ORDER, channel_order
from fastdepth_ros.deploy.foreign_onnx import FLOATS, ImageInput, Tensor

WRAPPED = "wrapped"  # name of the graph
OWN = "network/"  # before the names of the foreign graph
SKY_INVERSE = -1e30  # inverse depth of the sky: beyond infinity, whatever the shift


@dataclass(frozen=True)
class Wrapping:
    """Operations to put around a graph.

    Args:
        mean, std: input = (pixel - mean) / std by channel of the network, pixels 0 to 255; None for uint8 inputs.
        bgr: the network takes blue first.
        inverse: its output is an inverse depth: the reciprocal goes out.
        depth, confidence, sky, valid: names of its outputs, "" for none. Sky over 0.5 is +inf, valid under 0.5 NaN.
    """

    depth: str
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    bgr: bool = False
    inverse: bool = False
    confidence: str = ""
    sky: str = ""
    valid: str = ""


def wrap(
    model: onnx.ModelProto, image: ImageInput, camera: Tensor | None, how: Wrapping,
    sizes: Mapping[str, tuple[int, int]], opset: int,
) -> onnx.ModelProto:  # fmt: skip
    """The graph with an artifact's interface.

    Args:
        model: model with fixed sizes.
        camera: its input for the camera matrix.
        sizes: rows and columns of its outputs, by name.

    Returns:
        uint8 (1, height, width, 3) RGB `rgb`, and float32 (1, 3, 3) `camera` if it takes that, to float32
        (1, 1, rows, columns) `depth` and `confidence`.
    """
    inner = onnx.compose.add_prefix(model, OWN)
    for number, node in enumerate(inner.graph.node):
        node.name = node.name or f"{OWN}{number}"  # the quantizer leaves nodes out by their names
    graph = _Graph()
    pixels = graph.add("Gather", "rgb", graph.constant(channel_order("rgb"), ORDER), axis=3)  # engines swap the order
    if how.bgr:
        pixels = graph.add("Gather", pixels, graph.constant(channel_order("bgr")), axis=3)
    if image.tensor.kind in FLOATS:
        pixels = graph.add("Cast", pixels, to=TensorProto.FLOAT)
        if how.mean is not None and how.std is not None:
            pixels = graph.add("Sub", pixels, graph.constant(np.array(how.mean, np.float32)))
            pixels = graph.add("Div", pixels, graph.constant(np.array(how.std, np.float32)))
    if image.layout == "nchw":
        pixels = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    graph.feed(pixels, OWN + image.tensor.name, image.tensor.kind)
    inputs = [helper.make_tensor_value_info("rgb", TensorProto.UINT8, [1, *image.size, 3])]
    if camera is not None:
        graph.feed(graph.reshape("camera", camera.shape), OWN + camera.name, camera.kind)
        inputs.append(helper.make_tensor_value_info("camera", TensorProto.FLOAT, [1, 3, 3]))
    before, graph.nodes = graph.nodes, []
    graph.give(_depth(graph, how, sizes), "depth")
    outputs = {"depth": sizes[how.depth]}
    if how.confidence:
        graph.give(graph.as_map(how.confidence, sizes[how.confidence], sizes[how.depth]), "confidence")
        outputs["confidence"] = sizes[how.depth]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *size]) for name, size in outputs.items()]
    own = inner.graph
    whole = helper.make_graph(
        [*before, *own.node, *graph.nodes], WRAPPED, inputs, given, [*graph.constants, *own.initializer]
    )
    whole.sparse_initializer.extend(own.sparse_initializer)
    wrapped = helper.make_model(whole, opset_imports=model.opset_import, functions=inner.functions)
    wrapped.ir_version = min(model.ir_version, 10)
    helper.set_model_props(wrapped, {"opset": str(opset)})
    return wrapped


def _depth(graph: _Graph, how: Wrapping, sizes: Mapping[str, tuple[int, int]]) -> str:
    size = sizes[how.depth]
    depth = graph.as_map(how.depth, size, size)
    half = graph.constant(np.float32(0.5)) if how.sky or how.valid else ""
    if how.sky:
        sky = graph.add("Greater", graph.as_map(how.sky, sizes[how.sky], size), half)
        depth = graph.add("Where", sky, graph.constant(np.float32(SKY_INVERSE if how.inverse else np.inf)), depth)
    if how.inverse:
        depth = graph.add("Div", graph.constant(np.float32(1)), depth)
    if how.valid:
        invalid = graph.add("Less", graph.as_map(how.valid, sizes[how.valid], size), half)
        depth = graph.add("Where", invalid, graph.constant(np.float32(np.nan)), depth)
    return depth


class _Graph:
    """Nodes and constants in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def _name(self) -> str:
        self._count += 1
        return f"wrapped_{self._count}"

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; its name."""
        output = self._name()
        self.nodes.append(helper.make_node(operator, list(inputs), [output], output, **attributes))
        return output

    def constant(self, value: np.ndarray | np.generic, name: str = "") -> str:
        name = name or self._name()
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        return self.add("Reshape", tensor, self.constant(np.array(shape, np.int64)))

    def as_map(self, output: str, size: tuple[int, int], wanted: tuple[int, int]) -> str:
        """Float32 (1, 1, rows, columns) of an output of the network, each pixel the nearest of its own."""
        found = self.reshape(self.add("Cast", OWN + output, to=TensorProto.FLOAT), (1, 1, *size))
        if size == wanted:
            return found
        scales = self.constant(np.array([1, 1, wanted[0] / size[0], wanted[1] / size[1]], np.float32))
        return self.add("Resize", found, "", scales, mode="nearest", coordinate_transformation_mode="half_pixel")

    def feed(self, tensor: str, target: str, kind: int) -> None:
        """Give a tensor to an input of the network, as its type."""
        self.nodes.append(helper.make_node("Cast", [tensor], [target], target, to=kind))

    def give(self, tensor: str, name: str) -> None:
        self.nodes.append(helper.make_node("Identity", [tensor], [name], name))
