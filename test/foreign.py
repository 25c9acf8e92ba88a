"""ONNX networks of other projects in small: the interfaces of those that people use, and a known function inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))


class Graph:
    """Nodes and weights in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: Any, output: str = "", **attributes: Any) -> str:
        """A node; inputs that are no names are constants."""
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name


@dataclass(frozen=True)
class Network:
    """A network as others have it, and how it is imported.

    Args:
        shape: height and width of its input.
        options: command line of `models import`.
        layout: "nchw" or "nhwc".
        open_size: height and width are not fixed in the file.
        outputs: names; the first is the depth.
        camera: it takes the camera matrix, and its depth is multiplied by fx / 100.
        pooled: its depth is so much smaller than its input.
    """

    name: str
    shape: tuple[int, int]
    options: Sequence[str]
    layout: str = "nchw"
    open_size: bool = False
    outputs: tuple[str, ...] = ("predicted_depth",)
    camera: bool = False
    pooled: int = 1


NETWORKS = {
    "depth-anything-v2": Network(
        "depth-anything-v2", (252, 336),
        ("--normalize", "imagenet", "--size", "252x336", "--valid-range", "0.001", "20"), open_size=True,
    ),
    "depth-anything-3": Network(
        "depth-anything-3", (280, 378),
        ("--normalize", "imagenet", "--focal", "canonical:300", "--sky-output", "sky", "--fit", "crop"),
        outputs=("depth", "sky"),
    ),
    "metric3d": Network(
        "metric3d", (616, 1064),
        ("--mean", "123.675", "116.28", "103.53", "--std", "58.395", "57.12", "57.375", "--fit", "pad", "--focal",
         "canonical:1000", "--confidence-output", "confidence"),
        outputs=("predicted_depth", "confidence"), pooled=4,
    ),
    "midas-small": Network(
        "midas-small", (256, 256),
        ("--normalize", "imagenet", "--kind", "inverse-depth", "--relative", "--fit", "stretch"), outputs=("inverse",),
    ),
    "unidepth": Network(
        "unidepth", (252, 336),
        ("--normalize", "imagenet", "--fit", "pad"), outputs=("depth", "confidence"), camera=True,
    ),
    "fastdepth-256x320": Network(
        "fastdepth-256x320", (256, 320),
        ("--normalize", "unit", "--fit", "stretch", "--view", "authors", "--focal", "trained:227.3,303.8"),
        layout="nhwc", outputs=("out",),
    ),
}  # fmt: skip


def known_function(rgb: np.ndarray) -> np.ndarray:
    """What each network says of a uint8 network input, float64: 0.5 at black, more with red, less with green."""
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0) / 255
    return 0.5 + 3 * red + 0.25 * blue - 0.4 * green


def sky_function(rgb: np.ndarray) -> np.ndarray:
    """Where the networks see sky: where blue is over 0.9 and red is not."""
    return rgb[..., 2] / 255 - rgb[..., 0] / 255 > 0.5


def build(network: Network) -> onnx.ModelProto:
    """The network as ONNX of opset 17: it undoes its own normalization, and computes the known function."""
    graph, (height, width) = Graph(), network.shape
    axis = 1 if network.layout == "nchw" else 3
    size: list[Any] = ["height", "width"] if network.open_size else [height, width]
    shape = [1, 3, *size] if network.layout == "nchw" else [1, *size, 3]
    per_channel = (1, 3, 1, 1) if axis == 1 else (1, 1, 1, 3)
    mean, std = IMAGENET if "unit" not in network.options else (np.zeros(3), np.ones(3))
    x = graph.add("Mul", "image", std.reshape(per_channel).astype(np.float32))
    x = graph.add("Add", x, mean.reshape(per_channel).astype(np.float32))
    weights = np.array([3, -0.4, 0.25], np.float32).reshape(per_channel)
    x = graph.add("ReduceSum", graph.add("Mul", x, weights), np.array([axis]), keepdims=1)
    depth = graph.add("Add", x, np.float32(0.5))
    first = network.outputs[0]
    if network.camera:  # as if it looked: the product with fx / fx is exact
        fx = graph.add("Slice", "intrinsics", np.array([0, 0, 0]), np.array([1, 1, 1]))
        depth = graph.add("Mul", depth, graph.add("Div", fx, np.float32(100)))
    if network.pooled > 1:
        side = [network.pooled, network.pooled]
        depth = graph.add("AveragePool", depth, kernel_shape=side, strides=side)
    final: dict[str, str] = {first: depth}
    if "sky" in network.outputs:
        planes = graph.add("Mul", "image", std.reshape(per_channel).astype(np.float32))
        planes = graph.add("Add", planes, mean.reshape(per_channel).astype(np.float32))
        blueness = graph.add("Mul", planes, np.array([-1, 0, 1], np.float32).reshape(per_channel))
        final["sky"] = graph.add("ReduceSum", blueness, np.array([axis]), keepdims=1)
    if "confidence" in network.outputs:
        final["confidence"] = graph.add("Sigmoid", depth)
    for name, value in final.items():
        graph.add("Identity", value, output=name)
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    if network.camera:
        inputs.append(helper.make_tensor_value_info("intrinsics", TensorProto.FLOAT, [1, 3, 3]))
    rows = [1, 1, *size] if axis == 1 else [1, *size, 1]
    rows = rows if network.pooled == 1 else ["batch", 1, "rows", "columns"]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, rows) for name in network.outputs]
    return helper.make_model(
        helper.make_graph(graph.nodes, network.name, inputs, outputs, graph.weights),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip


def expected(network: Network, rgb: np.ndarray, fx: float = 100.0) -> np.ndarray:
    """The first output of the network for a uint8 network input, float64, on its own grid."""
    said, step = known_function(rgb), network.pooled
    said = said.reshape(said.shape[0] // step, step, said.shape[1] // step, step).mean(axis=(1, 3))
    return said * fx / 100 if network.camera else said


def random_network(size: tuple[int, int] = (56, 84), seed: int = 0) -> onnx.ModelProto:
    """Patches of 14 pixels, two layers of random weights, and a bilinear head: Depth Anything in small."""
    rng, graph = np.random.default_rng(seed), Graph()

    def weights(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    x = graph.add(
        "Conv", "image", weights(16, 3, 14, 14), weights(16, 1)[:, 0], kernel_shape=[14, 14], strides=[14, 14]
    )
    x = graph.add("Conv", graph.add("Relu", x), weights(16, 16, 3, 3), pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    x = graph.add("Resize", graph.add("Relu", x), "", np.array([1, 1, 14, 14], np.float32), mode="linear")
    x = graph.add("Sigmoid", graph.add("Conv", x, weights(1, 16, 1, 1), kernel_shape=[1, 1]))
    graph.add("Mul", x, np.float32(20), output="depth")
    return helper.make_model(
        helper.make_graph(
            graph.nodes, "random",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size])],
            [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, *size])], graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip


def write(name: str, folder: Path) -> Path:
    """One of NETWORKS as a file."""
    path = folder / f"{name}.onnx"
    onnx.save(build(NETWORKS[name]), path)
    return path
