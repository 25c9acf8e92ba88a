"""Unwrapping of an imported graph: float32 NCHW in, normalized outside, as the compilers of accelerators want it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper, numpy_helper

from fastdepth_ros.deploy.wrap import OWN, WRAPPED
from fastdepth_ros.errors import FastDepthError

IMAGE = "rgb"


@dataclass(frozen=True)
class PlainNetwork:
    """A graph from float32 (1, 3, height, width) `rgb` to float32 (1, 1, rows, columns) `depth`.

    Args:
        mean, std: input = (pixel - mean) / std by channel of the network, pixels 0 to 255.
        channels: order of the channels, "RGB" or "BGR".
    """

    model: onnx.ModelProto
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (255.0, 255.0, 255.0)
    channels: str = "RGB"

    @property
    def opset(self) -> int:
        return next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))


def unwrap(model: onnx.ModelProto, opset: int) -> PlainNetwork:
    """The graph of `models import` without its first nodes, which order, normalize and transpose the pixels.

    Args:
        opset: operator set to bring it to; a graph that has newer operators keeps its own.

    Raises:
        FastDepthError: a graph that `models import` did not write, or one that takes the camera matrix.
    """
    graph = model.graph
    if graph.name != WRAPPED:
        raise FastDepthError("model.onnx is rewritten for CPUs", "take an artifact that has model.safetensors")
    if len(graph.input) != 1:
        raise FastDepthError("the network takes the camera matrix too", "the plain form has one input, the picture")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    first = _first_nodes(graph)
    last, said = first[-1], {node.op_type: constants.get(node.input[1]) for node in first if len(node.input) > 1}
    is_bgr = sum(node.op_type == "Gather" for node in first) == 2  # the other one is for engines
    is_nchw = any(node.op_type == "Transpose" for node in first)
    _, height, width, _ = (axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim)
    for node in first:
        graph.node.remove(node)
    graph.input[0].CopyFrom(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [1, 3, height, width]))
    own = [] if is_nchw else [helper.make_node("Transpose", [IMAGE], ["plain/nhwc"], "plain/nhwc", perm=[0, 2, 3, 1])]
    last.input[0] = own[0].output[0] if own else IMAGE
    for node in (last, *own):  # the cast to the network's own type stays
        graph.node.insert(0, node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    mean, std = said.get("Sub"), said.get("Div")
    return PlainNetwork(
        _of_opset(model, opset), (0.0,) * 3 if mean is None else mean.tolist(),
        (1.0,) * 3 if std is None else std.tolist(), "BGR" if is_bgr else "RGB",
    )  # fmt: skip


def _first_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes from the picture to the input of the imported network."""
    found, name = [], IMAGE
    while not name.startswith(OWN):
        found.append(next(node for node in graph.node if name in node.input))
        name = found[-1].output[0]
    return found


def _of_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The graph under another operator set, where that has all of its operators; else as it is.

    Most operators changed in what types they take only. Whether one computes something else is proven by the export.
    """
    older = onnx.ModelProto()
    older.CopyFrom(model)
    for entry in older.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = opset
    try:
        onnx.checker.check_model(older, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return model
    return older
