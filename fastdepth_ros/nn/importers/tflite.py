"""A public TFLite FastDepth (int8 per channel or float32, batch norm folded) read as the float32 network.

The graph is walked in operator order beside what the paper draws, and whatever differs is named: weights that
fit a network which computes something else would be worse than none. TFLite's own "SAME" padding at stride 2 is
such a difference: on an even size it pads only after the image, where FastDepth pads one pixel on each side.

The bindings check no bound, and a hostile file may state any count. So no count read from it drives a loop, each
constant must fill exactly the bytes it has, and all together hold no more elements than the file has bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdepth_ros.nn.channels import ENCODER_STRIDES, INPUT_PX, SKIPS, Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, network_of
from fastdepth_ros.nn.network import FastDepth

LARGEST_FILE_BYTES = 32 * 2**20  # the unpruned network in float32 is half of it
MALFORMED = (struct.error, IndexError, OverflowError, TypeError, ValueError)  # what the bindings raise on bad offsets
DTYPES: dict[str, np.dtype[Any]] = {"FLOAT32": np.dtype("<f4"), "INT8": np.dtype("i1"), "INT32": np.dtype("<i4")}


class _DiffersError(Exception):
    """The graph differs from FastDepth; the message says where."""


def import_tflite(path: Path) -> FastDepth:
    """Read the weights of a TFLite FastDepth.

    Kernels and biases are de-quantized, ``(q - zero_point) * scale`` per channel. The ranges that int8 inference
    clips activations to are not kept: the network is what was quantized, not what quantization made of it.

    Args:
        path: a .tflite file, input 1x224x224x3 RGB: float32 in [0, 1], or bytes whose quantization means that.

    Returns:
        The network, folded, float32, in eval mode on the CPU.

    Raises:
        CheckpointError: no such file, not a TFLite file, a damaged one, another network, or `tflite` not installed.
    """
    tflite = _bindings()
    content = _content(path)
    if not tflite.Model.ModelBufferHasIdentifier(content, 0):
        raise CheckpointError(f"{path} is not a TFLite file: bytes 4 to 8 are {content[4:8]!r}, not b'TFL3'")
    try:
        channels, tensors = _read(_Walk(tflite, content))
    except _DiffersError as difference:
        raise CheckpointError(f"{path} is not the FastDepth network: {difference}") from difference
    except MALFORMED as error:
        raise CheckpointError(f"{path} is damaged, its tables point outside the file: {error}") from error
    return network_of(channels, tensors)


def _bindings() -> Any:
    try:
        import tflite
    except ImportError as error:
        raise CheckpointError(
            "reading a TFLite file needs the package tflite: pip install 'fastdepth_ros[torch]'"
        ) from error
    return tflite


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"no TFLite file at {path}")
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        raise CheckpointError(f"{path} has {size} bytes, a FastDepth at most {LARGEST_FILE_BYTES}")
    return path.read_bytes()


def _read(walk: _Walk) -> tuple[Channels, dict[str, Tensor]]:
    """Fig. 2 of the paper, in the order in which TFLite runs it."""
    encoder, decoder, kept = [], [], {}
    walk.optional("QUANTIZE")
    for layer, stride in enumerate(ENCODER_STRIDES):
        if layer == 0:
            walk.convolution("encoder.0.conv", 3, "RELU6", stride=stride)
        else:
            walk.convolution(f"encoder.{layer}.dw.conv", 3, "RELU6", stride=stride, depthwise=True)
            walk.convolution(f"encoder.{layer}.pw.conv", 1, "RELU6")
        encoder.append(walk.channels)
        if layer in SKIPS:
            kept[SKIPS[layer]] = walk.at
    for layer in range(5):
        walk.convolution(f"decoder.{layer}.dw.conv", 5, "RELU", depthwise=True)
        walk.convolution(f"decoder.{layer}.pw.conv", 1, "RELU")
        decoder.append(walk.channels)
        walk.upsample()
        if layer + 1 in kept:
            walk.add(kept[layer + 1])
    walk.convolution("head", 1, "RELU")
    walk.optional("QUANTIZE", "DEQUANTIZE")
    walk.end()
    try:
        return Channels(tuple(encoder), tuple(decoder)), walk.tensors
    except ValueError as error:
        raise _DiffersError(str(error)) from error


class _Walk:
    """One operator after the other, each reading what the one before it wrote.

    Attributes:
        at: index of the tensor that the next operator must read.
        channels, side_px: its depth, and its height and width.
        tensors: the state dict so far, by torch's names and in torch's layouts.
    """

    def __init__(self, tflite: Any, content: bytes) -> None:
        self.tflite = tflite
        self.model = tflite.Model.GetRootAs(content, 0)
        if self.model.SubgraphsLength() != 1:
            raise _DiffersError(f"it has {self.model.SubgraphsLength()} subgraphs, expected 1")
        self.graph = self.model.Subgraphs(0)
        self.operator_index = 0
        self.tensors: dict[str, Tensor] = {}
        self.elements_left = len(content)
        self.at, *others = _integers(self.graph.InputsAsNumpy(), "inputs of the graph", at_least=1)
        if others:
            raise _DiffersError(f"it has {1 + len(others)} inputs, expected 1")
        self.channels, self.side_px = 3, INPUT_PX
        self._check_input()

    def convolution(self, name: str, kernel: int, activation: str, *, stride: int = 1, depthwise: bool = False) -> None:
        """A convolution with its fused activation, and the PAD before it; its weight and bias go to `tensors`."""
        padded = kernel > 1 and self._kind() == "PAD"
        if padded:
            self._pad(kernel // 2)
        kind, table = ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions") if depthwise else ("CONV_2D", "Conv2DOptions")
        where = f"operator {self.operator_index} ({kind}, {name})"
        operator, inputs = self._step(kind, 3)
        options = self._options(operator, table, where)
        _expect(where, "stride", (options.StrideH(), options.StrideW()), (stride, stride))
        _expect(where, "dilation", (options.DilationHFactor(), options.DilationWFactor()), (1, 1))
        self._check_activation(where, options, activation)
        self._check_padding(where, options.Padding(), kernel, stride, padded)
        weight = self._weight(where, inputs[1], "INT8", axis=3 if depthwise else 0)
        outputs = self.channels if depthwise else weight.shape[0]
        expected = (1, kernel, kernel, self.channels) if depthwise else (outputs, kernel, kernel, self.channels)
        _expect(where, "kernel shape", weight.shape, expected)
        bias = self._weight(where, inputs[2], "INT32", axis=0)
        _expect(where, "bias shape", bias.shape, (outputs,))
        to_torch = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)  # 1HWC or OHWI to OIHW
        self.tensors[f"{name}.weight"] = torch.from_numpy(weight.transpose(to_torch).copy())
        self.tensors[f"{name}.bias"] = torch.from_numpy(bias)
        self.channels, self.side_px = outputs, self.side_px // stride

    def upsample(self) -> None:
        """Nearest neighbor to twice the size. Half-pixel centers choose the same pixels at a factor of 2."""
        where = f"operator {self.operator_index} (RESIZE_NEAREST_NEIGHBOR)"
        operator, inputs = self._step("RESIZE_NEAREST_NEIGHBOR", 2)
        options = self._options(operator, "ResizeNearestNeighborOptions", where)
        _expect(where, "align_corners", options.AlignCorners(), False)
        self.side_px *= 2
        _expect(where, "size", self._constant(where, inputs[1], ("INT32",)).tolist(), [self.side_px] * 2)

    def add(self, kept: int) -> None:
        """The sum with tensor `kept`, in either order."""
        where = f"operator {self.operator_index} (ADD)"
        before = self.at
        operator, inputs = self._step("ADD", 2, first=False)
        _expect(where, "pair of tensors", sorted(inputs), sorted((before, kept)))
        self._check_activation(where, self._options(operator, "AddOptions", where), "NONE")

    def optional(self, *kinds: str) -> None:
        """Pass over an operator that changes the number type only, where there is one."""
        if self._kind() in kinds:
            self._step(self._kind(), 1)

    def end(self) -> None:
        """One channel, and nothing after it."""
        _expect("the head", "number of channels", self.channels, 1)
        if self.operator_index != self.graph.OperatorsLength():
            raise _DiffersError(f"operator {self.operator_index} is {self._kind()}, expected none after the head")
        _expect("the graph", "output", _integers(self.graph.OutputsAsNumpy(), "outputs of the graph"), [self.at])

    def _check_input(self) -> None:
        tensor = self._tensor(self.at)
        shape = _integers(tensor.ShapeAsNumpy(), "dimensions of the input")
        _expect("the graph", "input shape", shape, [1, INPUT_PX, INPUT_PX, 3])
        kind = _name(self.tflite.TensorType, tensor.Type())
        lowest = {"UINT8": 0, "INT8": -128}.get(kind)
        if lowest is None:
            _expect("the graph", "input type", kind, "FLOAT32")  # whose normalization is nowhere stated
            return
        scale, zero_point = self._quantization("the input", tensor, 1, axis=None)
        black, white = ((value - zero_point.item()) * scale.item() for value in (lowest, lowest + 255))
        if abs(black) > 0.01 or abs(white - 1) > 0.01:
            raise _DiffersError(f"its input's bytes mean {black:.3f} to {white:.3f}, expected 0 to 1 (RGB / 255)")

    def _pad(self, width_px: int) -> None:
        where = f"operator {self.operator_index} (PAD)"
        _, inputs = self._step("PAD", 2)
        found = self._constant(where, inputs[1], ("INT32",)).tolist()
        _expect(where, "padding", found, [[0, 0], [width_px] * 2, [width_px] * 2, [0, 0]])

    def _check_padding(self, where: str, padding: int, kernel: int, stride: int, padded: bool) -> None:
        found = ("PAD and " if padded else "") + _name(self.tflite.Padding, padding)
        # SAME is symmetric for an odd kernel at stride 1 only; a 1x1 kernel needs no padding under either
        if kernel > 1 and found != "PAD and VALID" and (found != "SAME" or stride > 1):
            raise _DiffersError(f"{where} pads with {found} at stride {stride}, expected {kernel // 2} px on each side")

    def _check_activation(self, where: str, options: Any, expected: str) -> None:
        found = _name(self.tflite.ActivationFunctionType, options.FusedActivationFunction())
        _expect(where, "fused activation", found, expected)

    def _kind(self) -> str:
        """Name of the next operator."""
        if self.operator_index >= self.graph.OperatorsLength():
            return "the end of the graph"
        index = self.graph.Operators(self.operator_index).OpcodeIndex()
        if index >= self.model.OperatorCodesLength():
            raise _DiffersError(f"operator {self.operator_index} has code {index}, which is not in the file's table")
        code = self.model.OperatorCodes(index).BuiltinCode()
        return str(self.tflite.BUILTIN_OPCODE2NAME.get(code, f"operator code {code}"))

    def _step(self, kind: str, inputs: int, *, first: bool = True) -> tuple[Any, list[int]]:
        """Pass over the next operator: itself, and the tensors it reads."""
        where = f"operator {self.operator_index}"
        if self._kind() != kind:
            raise _DiffersError(f"{where} is {self._kind()}, expected {kind}")
        operator = self.graph.Operators(self.operator_index)
        read = _integers(operator.InputsAsNumpy(), f"inputs of {where}")
        written = _integers(operator.OutputsAsNumpy(), f"outputs of {where}", at_least=1)
        _expect(f"{where} ({kind})", "number of inputs", len(read), inputs)
        if first:
            _expect(f"{where} ({kind})", "first input", read[0], self.at)
        self.at = written[0]
        self.operator_index += 1
        return operator, read

    def _options(self, operator: Any, name: str, where: str) -> Any:
        table = operator.BuiltinOptions()
        if table is None or operator.BuiltinOptionsType() != getattr(self.tflite.BuiltinOptions, name):
            raise _DiffersError(f"{where} has no {name}")
        options = getattr(self.tflite, name)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _tensor(self, index: int) -> Any:
        if not 0 <= index < self.graph.TensorsLength():
            raise _DiffersError(f"tensor {index} does not exist")
        return self.graph.Tensors(index)

    def _constant(self, where: str, index: int, allowed: Sequence[str]) -> NDArray[Any]:
        tensor = self._tensor(index)
        name = _name(self.tflite.TensorType, tensor.Type())
        if name not in allowed:
            raise _DiffersError(f"{where} has a constant of {name}, expected {' or '.join(allowed)}")
        shape = _integers(tensor.ShapeAsNumpy(), f"dimensions of tensor {index}")
        if not 0 <= tensor.Buffer() < self.model.BuffersLength():
            raise _DiffersError(f"{where} reads buffer {tensor.Buffer()}, which does not exist")
        data = _vector(self.model.Buffers(tensor.Buffer()).DataAsNumpy())
        if min(shape, default=1) < 1 or data.size != math.prod(shape) * DTYPES[name].itemsize:
            raise _DiffersError(f"{where} has a constant of shape {shape}, {name}, in {data.size} bytes")
        self.elements_left -= math.prod(shape)
        if self.elements_left < 0:
            raise _DiffersError(f"{where} has constants that overlap others: they hold more than the file")
        return data.view(DTYPES[name]).reshape(shape)

    def _weight(self, where: str, index: int, integer: str, *, axis: int) -> NDArray[np.float32]:
        """A constant as float32, de-quantized along `axis` where it is of type `integer`."""
        stored = self._constant(where, index, (integer, "FLOAT32"))
        if stored.dtype == np.float32:
            weight = stored.copy()
        else:
            if stored.ndim <= axis:
                raise _DiffersError(f"{where} has a constant of {stored.ndim} dimensions, expected {axis + 1}")
            scale, zero_point = self._quantization(where, self._tensor(index), stored.shape[axis], axis=axis)
            along = [-1 if dimension == axis else 1 for dimension in range(stored.ndim)]
            with np.errstate(over="ignore"):  # an infinity is refused below
                weight = ((stored - zero_point.reshape(along)) * scale.reshape(along)).astype(np.float32)
        if not np.isfinite(weight).all():
            raise _DiffersError(f"{where} has weights that are not finite")
        return weight

    def _quantization(
        self, where: str, tensor: Any, channels: int, *, axis: int | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scale and zero point: one each, or one per channel along `axis`."""
        parameters = tensor.Quantization()
        if parameters is None:
            raise _DiffersError(f"{where} has integers without quantization")
        scale, zero_point = _vector(parameters.ScaleAsNumpy()), _vector(parameters.ZeroPointAsNumpy())
        if scale.size not in (1, channels) or zero_point.size != scale.size:
            raise _DiffersError(
                f"{where} has {scale.size} scales and {zero_point.size} zero points for {channels} channels"
            )
        if scale.size > 1:
            _expect(where, "quantized dimension", parameters.QuantizedDimension(), axis)
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise _DiffersError(f"{where} has scales that are not positive numbers")
        return scale.astype(np.float64), zero_point.astype(np.int64)


def _name(numbered: type, code: int) -> str:
    """Name of an operator by the schema's `code`."""
    return next((name for name, number in vars(numbered).items() if number == code), f"code {code}")


def _vector(values: Any) -> NDArray[Any]:
    """The bindings answer 0 for a vector that is absent."""
    return values if isinstance(values, np.ndarray) else np.zeros(0, np.uint8)


def _integers(values: Any, what: str, *, at_least: int = 0) -> list[int]:
    """A short vector as integers: no shape or list of tensors here has more than four."""
    found = _vector(values)
    if not at_least <= found.size <= 4:
        raise _DiffersError(f"there are {found.size} {what}, expected {at_least} to 4")
    return [int(value) for value in found]


def _expect(where: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise _DiffersError(f"{where} has {what} {found}, expected {expected}")
