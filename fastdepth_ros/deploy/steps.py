"""The network as a list of convolutions, from its ONNX: what is left when everything that can be folded is.

Upsampling and sums are not steps of their own. The convolution that reads them does them while it reads; where that
convolution is 1x1, it runs before the nearest upsample instead, which is the same and a quarter of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fastdepth_ros.deploy.rewrite import leading_to
from fastdepth_ros.deploy.wrap import WRAPPED
from fastdepth_ros.errors import FastDepthError

IMAGE = "rgb"


@dataclass(frozen=True)
class Term:
    """Input of a step: the map of an earlier step, each pixel repeated `scale` x `scale` times."""

    source: str
    scale: int = 1


@dataclass(frozen=True)
class Step:
    """One convolution with its bias and activation.

    Args:
        name: name by which later steps read it.
        terms: maps whose sum is convolved; IMAGE is the uint8 image, always alone.
        weight: float32 (outputs, inputs, K, K), or (channels, 1, K, K) if depthwise.
        bias: float32 (outputs,).
        low, high: ends of the activation; infinite where there is none.
        in_size_px, out_size_px: sides of the square maps.
    """

    name: str
    terms: tuple[Term, ...]
    weight: np.ndarray
    bias: np.ndarray
    stride: int
    pad: int
    depthwise: bool
    in_size_px: int
    out_size_px: int
    low: float = -np.inf
    high: float = np.inf

    @property
    def inputs(self) -> int:
        return self.weight.shape[0 if self.depthwise else 1]

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    @property
    def kernel(self) -> int:
        return self.weight.shape[2]

    @property
    def macs(self) -> int:
        return self.weight.size * self.out_size_px**2

    @property
    def kind(self) -> str:
        return "depthwise" if self.depthwise else "pointwise" if self.kernel == 1 else "standard"


@dataclass(frozen=True)
class Plan:
    """Steps in order of execution, and the map that is the depth."""

    steps: tuple[Step, ...]
    depth: Term
    size_px: int


@dataclass(frozen=True)
class _Map:
    """A value of the ONNX graph: the sum of its terms, each times `factor`."""

    terms: tuple[Term, ...]
    size_px: int
    factor: float = 1.0


def read_plan(path: Path) -> Plan:
    """The steps of the depth of an artifact's model.onnx; its confidence has none.

    Raises:
        FastDepthError: an imported network, an operation, or a use of one, that no step can do.
    """
    graph = onnx.load(path).graph
    if graph.name == WRAPPED:
        raise FastDepthError(
            f"{path} is an imported network; TVM's code is made for FastDepth alone",
            "run it in onnxruntime or openvino",
        )
    return _Reader(graph).plan()


class _Reader:
    """Walks the graph once; `_maps` holds what each name stands for."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        size_px = graph.input[0].type.tensor_type.shape.dim[1].dim_value
        self._maps = {graph.input[0].name: _Map((Term(IMAGE),), size_px)}
        self._steps: dict[str, Step] = {}
        self._size_px = size_px

    def plan(self) -> Plan:
        of_depth = leading_to(self._graph, self._graph.output[0].name)
        for node in (node for node in self._graph.node if node.name in of_depth):
            handler = getattr(self, f"_{node.op_type.lower()}", None)
            if handler is None:
                raise FastDepthError(f"{node.op_type} ({node.name}): TVM code is made of MobileNet with nnconv5")
            values = [self._constants.get(name, self._maps.get(name)) if name else None for name in node.input]
            attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            handler(node, values, attributes)
        depth = self._maps[self._graph.output[0].name]
        if len(depth.terms) != 1 or depth.size_px != self._size_px:
            raise FastDepthError(f"the depth is {depth}, it should be one map of {self._size_px} px")
        return Plan(tuple(self._steps.values()), depth.terms[0], self._size_px)

    def _constant(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        self._constants[node.output[0]] = onnx.numpy_helper.to_array(attributes["value"])

    def _identity(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        known = self._constants if node.input[0] in self._constants else self._maps
        known[node.output[0]] = values[0]

    def _cast(self, node: Any, values: list[_Map], attributes: dict[str, Any]) -> None:
        self._maps[node.output[0]] = values[0]

    def _transpose(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        self._lay_out(node, values[0], lambda array: array.transpose(attributes["perm"]))

    def _reshape(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        self._lay_out(node, values[0], lambda array: array.reshape(values[1]))

    def _gather(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        self._lay_out(node, values[0], lambda array: array.take(values[1], attributes["axis"]))

    def _lay_out(self, node: Any, value: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """A constant is laid out anew; a map, of which steps know rows, columns and channels, stays what it is."""
        if isinstance(value, np.ndarray):
            self._constants[node.output[0]] = change(value)
        else:
            self._maps[node.output[0]] = value

    def _div(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        self._maps[node.output[0]] = replace(values[0], factor=values[0].factor / float(values[1]))

    def _add(self, node: Any, values: list[_Map], attributes: dict[str, Any]) -> None:
        left, right = values
        if left.size_px != right.size_px or (left.factor, right.factor) != (1, 1):
            raise FastDepthError(f"{node.name} adds {left} and {right}")
        self._maps[node.output[0]] = _Map(left.terms + right.terms, left.size_px)

    def _resize(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        source, scales = values[0], np.asarray(values[2]).tolist()
        if attributes.get("mode") != b"nearest" or scales != [1, 1, 2, 2]:
            raise FastDepthError(f"{node.name} resizes by {scales} ({attributes.get('mode')}), not nearest by 2")
        terms = tuple(Term(term.source, term.scale * 2) for term in source.terms)
        self._maps[node.output[0]] = _Map(terms, source.size_px * 2, source.factor)

    def _conv(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        source, weight = values[0], values[1]
        (kernel, _), (stride, _), pads = attributes["kernel_shape"], attributes["strides"], attributes["pads"]
        group, outputs = attributes["group"], weight.shape[0]
        if kernel == 1 and weight.shape[1] == 1 and len(values) == 2 and (weight == 1).all():
            self._maps[node.output[0]] = source
            return
        if source.terms == (Term(IMAGE),) and weight.shape[1] == 1:  # pixels as they lie
            weight = weight.reshape(outputs, kernel, -1, 3).transpose(0, 3, 1, 2)
            pads = [pad // across for pad, across in zip(pads, (1, 3, 1, 3))]
        if group not in (1, outputs) or len(set(pads)) != 1 or set(attributes["dilations"]) != {1}:
            raise FastDepthError(f"{node.name} convolves in {group} groups, with pads {pads}")
        bias = values[2] if len(values) > 2 else np.zeros(outputs, np.float32)
        terms, size_px, scale = source.terms, source.size_px, 1
        if kernel == stride == 1 and len(terms) == 1:  # before the upsample
            scale = terms[0].scale
            terms, size_px = (Term(terms[0].source),), size_px // scale
        out_size_px = (size_px + 2 * pads[0] - kernel) // stride + 1
        name = node.output[0]
        self._steps[name] = Step(
            name, terms, (weight * np.float32(source.factor)).astype(np.float32), bias.astype(np.float32),
            stride, pads[0], group > 1, size_px, out_size_px,
        )  # fmt: skip
        self._maps[name] = _Map((Term(name, scale),), out_size_px * scale)

    def _clip(self, node: Any, values: list[Any], attributes: dict[str, Any]) -> None:
        self._activate(node, values[0], *(float(end) for end in values[1:3]))

    def _relu(self, node: Any, values: list[_Map], attributes: dict[str, Any]) -> None:
        self._activate(node, values[0], 0.0, np.inf)

    def _activate(self, node: Any, source: _Map, low: float, high: float) -> None:
        """Into the step that made the map; nobody else reads it before its activation in these networks."""
        (term,) = source.terms
        step = self._steps[term.source]
        if (step.low, step.high) != (-np.inf, np.inf) or self._readers(node.input[0]) != 1:
            raise FastDepthError(f"{node.name} is an activation that no convolution can take over")
        self._steps[term.source] = replace(step, low=low, high=high)
        self._maps[node.output[0]] = source

    def _readers(self, name: str) -> int:
        return sum(list(node.input).count(name) for node in self._graph.node)
