"""Rewrite a deployed network's ONNX into the same sums in a form that engines run faster.

What `nn/deployed.py` cannot say in torch's words: how an engine lays the work out in memory. Each rewriting looks for
its own pattern and leaves a graph that lacks it as it is. doc/speed.md says what each gains, and what else was tried.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fastdepth_ros.backends.channels import ORDER, channel_order

IMAGE_CHANNELS = 3
BLOCK = 16  # channels that ONNX Runtime's depthwise int8 kernels take at a time
ALIKE = ("Add", "Clip", "Relu", "Resize")  # operations whose maps have as many channels before as behind them


def rewrite(model: onnx.ModelProto) -> list[str]:
    """Rewrite a graph from uint8 (1, H, W, 3) to meters (1, 1, H, W), in place.

    Returns:
        The names of the rewritings that it took, in order.
    """
    rewritings = (scaling_in_first_kernel, pixels_as_they_lie, order_in_first_kernel, sums_in_convolutions,
                  last_upsample_unblocked)  # fmt: skip
    applied = [rewriting.__name__ for rewriting in rewritings if rewriting(_Graph(model))]
    onnx.checker.check_model(model, full_check=True)
    return applied


def leading_to(graph: onnx.GraphProto, output: str) -> set[str]:
    """Names of the nodes that a value of a graph is made of."""
    wanted, found = {output}, set()
    for node in reversed(graph.node):  # they stand in the order of their work
        if wanted & set(node.output):
            wanted.update(node.input)
            found.add(node.name)
    return found


class _Graph:
    """A graph with the look-ups that rewriting needs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.graph = model, model.graph

    def constant(self, name: str) -> Any:
        """The values, None of what is no constant."""
        for tensor in self.graph.initializer:
            if tensor.name == name:
                return numpy_helper.to_array(tensor)
        maker = self.maker(name)
        if maker is not None and maker.op_type == "Constant":
            return numpy_helper.to_array(maker.attribute[0].t)
        if maker is not None and maker.op_type == "Identity":  # torch writes equal constants once
            return self.constant(maker.input[0])
        return None

    def maker(self, name: str) -> onnx.NodeProto | None:
        return next((node for node in self.graph.node if name in node.output), None)

    def readers(self, name: str) -> list[onnx.NodeProto]:
        return [node for node in self.graph.node if name in node.input]

    def only_reader(self, name: str, kind: str) -> onnx.NodeProto | None:
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and readers[0].op_type == kind else None

    def add_constant(self, name: str, values: np.ndarray) -> str:
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def set_constant(self, name: str, values: np.ndarray) -> None:
        tensor = next(tensor for tensor in self.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(values, name))

    def insert_before(self, node: onnx.NodeProto, *nodes: onnx.NodeProto) -> None:
        place = list(self.graph.node).index(node)
        for offset, new in enumerate(nodes):
            self.graph.node.insert(place + offset, new)

    def first_convolution(self) -> tuple[onnx.NodeProto, onnx.NodeProto, onnx.NodeProto] | None:
        """Transpose, cast and convolution, where the image goes through these and nothing else."""
        transpose = self.only_reader(self.graph.input[0].name, "Transpose")
        cast = transpose and self.only_reader(transpose.output[0], "Cast")
        convolution = cast and self.only_reader(cast.output[0], "Conv")
        return (transpose, cast, convolution) if transpose and cast and convolution else None


def scaling_in_first_kernel(graph: _Graph) -> bool:
    """The division of the image by a number becomes one of the first kernel."""
    for division in [node for node in graph.graph.node if node.op_type == "Div"]:
        cast, divisor = graph.maker(division.input[0]), graph.constant(division.input[1])
        convolution = graph.only_reader(division.output[0], "Conv")
        if cast is None or cast.op_type != "Cast" or divisor is None or divisor.size != 1 or convolution is None:
            continue
        kernel = graph.constant(convolution.input[1])
        graph.set_constant(convolution.input[1], (kernel / divisor).astype(np.float32))
        convolution.input[0] = cast.output[0]
        graph.graph.node.remove(division)
        return True
    return False


def pixels_as_they_lie(graph: _Graph) -> bool:
    """The first convolution reads interleaved pixels, as an image of one channel that is three times as wide.

    A kernel of K x 3K in steps of three columns takes the same sums as one of 3 x K x K over three planes; nothing is
    transposed, neither the image before it nor the planes within the engine.
    """
    found = graph.first_convolution()
    if found is None:
        return False
    transpose, cast, convolution = found
    height, width = (axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim[1:3])
    kernel = graph.constant(convolution.input[1])
    if kernel is None or kernel.shape[1] != IMAGE_CHANNELS:
        return False
    outputs, _, rows, columns = kernel.shape
    for attribute in convolution.attribute:
        if attribute.name in ("kernel_shape", "strides"):
            attribute.ints[1] *= IMAGE_CHANNELS
        elif attribute.name == "pads":
            attribute.ints[1] *= IMAGE_CHANNELS
            attribute.ints[3] *= IMAGE_CHANNELS
    one_plane = graph.add_constant("one_plane", np.array([1, 1, height, width * IMAGE_CHANNELS], np.int64))
    one_kernel = graph.add_constant("one_kernel", np.array([outputs, 1, rows, columns * IMAGE_CHANNELS], np.int64))
    graph.insert_before(
        transpose, helper.make_node("Reshape", [transpose.input[0], one_plane], ["pixels"], "as_they_lie")
    )
    graph.insert_before(
        convolution,
        helper.make_node("Transpose", [convolution.input[1]], ["kernel_rows"], "kernel_rows", perm=(0, 2, 3, 1)),
        helper.make_node("Reshape", ["kernel_rows", one_kernel], ["kernel_of_pixels"], "kernel_of_pixels"),
    )
    cast.input[0], convolution.input[1] = "pixels", "kernel_of_pixels"
    graph.graph.node.remove(transpose)
    return True


def order_in_first_kernel(graph: _Graph) -> bool:
    """The first kernel's channels are gathered by a constant, which a backend sets to the camera's order."""
    reader = next((node for node in graph.graph.node if node.name == "kernel_rows"), None)
    if reader is None or graph.constant(ORDER) is not None:
        return False
    order = graph.add_constant(ORDER, channel_order("rgb"))
    graph.insert_before(
        reader, helper.make_node("Gather", [reader.input[0], order], ["kernel_order"], "kernel_order", axis=1)
    )
    reader.input[0] = "kernel_order"
    return True


def sums_in_convolutions(graph: _Graph) -> bool:
    """Insert a depthwise 1x1 convolution of ones before each addition to an upsampled map.

    Engines add what a convolution makes to what is there while they write it. By itself the addition is a pass over
    memory of its own, and a slow one.
    """
    shapes = _shapes(graph.model)
    sums = [node for node in graph.graph.node if node.op_type == "Add" and _resized(graph, node) is not None]
    for node in sums:
        upsampled = _resized(graph, node)
        other = next(name for name in node.input if name != upsampled)
        channels = shapes[other][1]
        ones = graph.add_constant(f"{node.name}/ones", np.ones((channels, 1, 1, 1), np.float32))
        same = helper.make_node(
            "Conv", [other, ones], [f"{node.name}/same"], f"{node.name}/same",
            group=channels, kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1),
        )  # fmt: skip
        graph.insert_before(node, same)
        node.input[list(node.input).index(other)] = same.output[0]
    return bool(sums)


def last_upsample_unblocked(graph: _Graph) -> bool:
    """A reshape that changes nothing stands before the last upsample of an output's one map.

    Without it ONNX Runtime upsamples the map in blocks of 16 channels, 15 of them padding.
    """
    applied = False
    for output in [each.name for each in graph.graph.output]:
        resize = graph.maker(output)
        if resize is None or resize.op_type != "Resize":
            continue
        maker, shape = graph.maker(resize.input[0]), _shapes(graph.model)[resize.input[0]]
        if maker is None or maker.op_type == "Reshape" or shape[1] != 1:
            continue
        name = f"{output}_map"
        same = graph.add_constant(f"{output}_shape", np.array(shape, np.int64))
        graph.insert_before(resize, helper.make_node("Reshape", [resize.input[0], same], [name], name))
        resize.input[0] = name
        applied = True
    return applied


def channels_in_blocks(model: onnx.ModelProto) -> bool:
    """Fill maps between convolutions with channels of zeros up to a multiple of 16, in place; whether there were any.

    ONNX Runtime's depthwise int8 kernels take 16 channels at a time and the rest one by one. Other engines pad for
    themselves. The sums stay what they are to the last bit.
    """
    graph, applied = _Graph(model), False
    ends = {value.name for value in (*graph.graph.input, *graph.graph.output)}
    for names in _maps_of_one_width(graph):
        nodes = [node for node in graph.graph.node if names & {*node.input, *node.output}]
        convolutions = [node for node in nodes if node.op_type == "Conv"]
        known = all(map(_keeps_channels, nodes)) and all(_kernel(graph, node) is not None for node in convolutions)
        if not known or names & ends or not names <= {name for node in nodes for name in node.output}:
            continue
        makers = [node for node in convolutions if names & set(node.output)]
        more = -len(graph.constant(makers[0].input[1])) % BLOCK
        for node in convolutions if more else ():
            _widen(graph, node, more * (node in makers), more * (node.input[0] in names))
        applied |= more > 0
    if applied:
        del graph.graph.value_info[:]  # their shapes were those before
    return applied


def _maps_of_one_width(graph: _Graph) -> list[set[str]]:
    """Names of maps, by what has to have equally many channels."""
    groups: list[set[str]] = []
    for node in graph.graph.node:
        if node.op_type == "Conv" and not _is_depthwise(graph, node):
            tied = set(node.output)
        elif node.op_type == "Conv" or node.op_type in ALIKE:
            tied = {*node.output, *(node.input if node.op_type == "Add" else node.input[:1])}
        else:
            continue
        together = [group for group in groups if group & tied]
        groups = [group for group in groups if not group & tied] + [tied.union(*together)]
    return groups


def _is_depthwise(graph: _Graph, node: onnx.NodeProto) -> bool:
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    kernel = graph.constant(node.input[1])
    return kernel is not None and groups > 1 and kernel.shape[:2] == (groups, 1)


def _keeps_channels(node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" or (node.op_type in ALIKE and len(node.input) < 4)  # a Resize to a size has four


def _kernel(graph: _Graph, node: onnx.NodeProto) -> np.ndarray | None:
    """The constant kernel of a convolution that is dense or depthwise, its bias constant too; else None."""
    dense = all(attribute.i == 1 for attribute in node.attribute if attribute.name == "group")
    constants = [graph.constant(name) for name in node.input[1:]]
    known = (dense or _is_depthwise(graph, node)) and all(constant is not None for constant in constants)
    return constants[0] if known else None


def _widen(graph: _Graph, node: onnx.NodeProto, outputs: int, inputs: int) -> None:
    """Add zeros for so many more outputs and inputs to a convolution; a depthwise one has no inputs of its own."""
    depthwise = _is_depthwise(graph, node)
    padding = ((0, outputs), (0, 0 if depthwise else inputs), (0, 0), (0, 0))
    for place, name in enumerate(node.input[1:], 1):
        wider = np.pad(graph.constant(name), padding[: 4 if place == 1 else 1])
        if len(graph.readers(name)) == 1 and graph.maker(name) is None:
            graph.set_constant(name, wider)
        else:  # of other nodes too
            node.input[place] = graph.add_constant(f"{node.name}/{place}", wider)
    for attribute in node.attribute:
        if attribute.name == "group" and depthwise:
            attribute.i += outputs


def _resized(graph: _Graph, addition: onnx.NodeProto) -> str | None:
    """Input of an addition that an upsample makes, if no convolution makes the other one."""
    makers = {name: graph.maker(name) for name in addition.input}
    kinds = [maker.op_type if maker else "Constant" for maker in makers.values()]
    upsampled = [name for name, kind in zip(makers, kinds) if kind == "Resize"]
    return upsampled[0] if len(upsampled) == 1 and not {"Constant", "Conv"} & set(kinds) else None


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values: list[Any] = [*inferred.value_info, *inferred.output]
    return {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
