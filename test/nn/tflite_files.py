"""A TFLite file from parts that a test can spoil."""

from __future__ import annotations

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite


@dataclass
class Part:
    """A tensor of the file; `data` is empty for what operators compute."""

    shape: tuple[int, ...]
    kind: int = tflite.TensorType.FLOAT32
    data: bytes = b""
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0
    buffer: int | None = None


@dataclass
class Step:
    """An operator of the file."""

    kind: str
    inputs: list[int]
    output: int
    table: str = ""
    options: dict[str, int] = field(default_factory=dict)


@dataclass
class Graph:
    """A file: tensor 0 is its input, the last step's output is its output."""

    parts: list[Part] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def add(self, part: Part) -> int:
        self.parts.append(part)
        return len(self.parts) - 1

    def step(self, kind: str, inputs: list[int], table: str = "", **options: int) -> int:
        self.steps.append(Step(kind, inputs, self.add(Part((1,))), table, options))
        return self.steps[-1].output

    def find(self, kind: str, number: int = 0) -> Step:
        return [step for step in self.steps if step.kind == kind][number]


def serialize(graph: Graph, inputs: int = 1) -> bytes:
    """The file; its first `inputs` tensors are its inputs."""
    builder = flatbuffers.Builder(1024)

    def table(name: str, **fields: object) -> int:
        getattr(tflite, f"{name}Start")(builder)
        for key, value in fields.items():
            getattr(tflite, f"{name}Add{key}")(builder, value)
        return int(getattr(tflite, f"{name}End")(builder))

    def numbers(values: object, dtype: str) -> int:
        return int(builder.CreateNumpyVector(np.asarray(values, dtype)))

    def tables(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    kinds = sorted({step.kind for step in graph.steps})
    numbered = [getattr(tflite.BuiltinOperator, kind) for kind in kinds]
    codes = [table("OperatorCode", DeprecatedBuiltinCode=number, BuiltinCode=number) for number in numbered]
    buffers = [table("Buffer")]
    parts = []
    for part in graph.parts:
        fields: dict[str, object] = {"Shape": numbers(part.shape, "<i4"), "Type": part.kind, "Buffer": 0}
        if part.data:
            fields["Buffer"] = len(buffers) if part.buffer is None else part.buffer
            buffers.append(table("Buffer", Data=numbers(np.frombuffer(part.data, np.uint8), "u1")))
        if part.scale:
            scale, zero_point = numbers(part.scale, "<f4"), numbers(part.zero_point, "<i8")
            fields["Quantization"] = table(
                "QuantizationParameters", Scale=scale, ZeroPoint=zero_point, QuantizedDimension=part.axis
            )
        parts.append(table("Tensor", **fields))
    steps = []
    for step in graph.steps:
        fields = {"OpcodeIndex": kinds.index(step.kind)}
        fields |= {"Inputs": numbers(step.inputs, "<i4"), "Outputs": numbers([step.output], "<i4")}
        if step.table:
            fields["BuiltinOptions"] = table(step.table, **step.options)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, step.table)
        steps.append(table("Operator", **fields))
    ends = {"Inputs": numbers(range(inputs), "<i4"), "Outputs": numbers([graph.steps[-1].output], "<i4")}
    subgraph = table("SubGraph", Tensors=tables(parts), Operators=tables(steps), **ends)
    top = {"OperatorCodes": tables(codes), "Subgraphs": tables([subgraph]), "Buffers": tables(buffers)}
    builder.Finish(table("Model", Version=3, **top), file_identifier=b"TFL3")
    return bytes(builder.Output())
