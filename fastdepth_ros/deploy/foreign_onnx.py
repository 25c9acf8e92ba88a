"""ONNX file of another project: read with limits, and what it says of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from fastdepth_ros.errors import FastDepthError

LARGEST_BYTES = 1024 * 2**20
OPSETS = range(11, 22)  # what ONNX Runtime and OpenVINO of the last years read
SMALLEST_PX = 32  # of a map of depth
DOMAINS = ("", "ai.onnx", "com.microsoft")
EXPORT_AGAIN = "export it again with opset 17: torch.onnx.export(..., opset_version=17)"
FLOATS: dict[int, str] = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
IMAGES: dict[int, str] = FLOATS | {onnx.TensorProto.UINT8: "uint8"}


@dataclass(frozen=True)
class Tensor:
    """Input or output of a graph.

    Args:
        shape: 0 for a size that is not fixed.
        kind: TensorProto.DataType.
    """

    name: str
    shape: tuple[int, ...]
    kind: int

    def __str__(self) -> str:
        sizes = "x".join(str(size or "?") for size in self.shape)
        return f"{self.name} ({IMAGES.get(self.kind) or onnx.TensorProto.DataType.Name(self.kind).lower()} {sizes})"


def read_foreign(path: Path) -> onnx.ModelProto:
    """A model with its external data, checked to be of operators that the engines know.

    Raises:
        FastDepthError: no ONNX, too large, data that is missing, an operator or an opset that is not known.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise FastDepthError(f"{path} is no ONNX file: {error}", "export the network with torch.onnx.export") from error
    if not model.graph.node:
        raise FastDepthError(f"{path} is no ONNX file, or its graph is empty", "export the network again")
    _require_opset(path, model)
    _require_data(path, model)
    load_external_data_for_model(model, str(path.parent))
    return model


def main_opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators; 0 where the file names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _require_opset(path: Path, model: onnx.ModelProto) -> None:
    opset = main_opset(model)
    if opset not in OPSETS:
        raise FastDepthError(
            f"{path} is of opset {opset}, this package takes {OPSETS[0]} to {OPSETS[-1]}", EXPORT_AGAIN
        )
    own = {(function.domain, function.name) for function in model.functions}
    unknown = {
        f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        for node in _nodes(model.graph)
        if (node.domain, node.op_type) not in own
        and (node.domain not in DOMAINS or (node.domain != DOMAINS[2] and not onnx.defs.has(node.op_type, opset)))
    }
    if unknown:
        raise FastDepthError(
            f"{path} has operators that no engine knows: {', '.join(sorted(unknown))}",
            "export the network with standard operators: for a plug-in of TensorRT, replace it by what it computes",
        )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, of inner graphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _require_data(path: Path, model: onnx.ModelProto) -> None:
    files = {
        ExternalDataInfo(tensor).location for tensor in model.graph.initializer if uses_external_data(tensor)
    }  # fmt: skip
    missing = sorted(name for name in files if not (path.parent / name).is_file())
    if missing:
        raise FastDepthError(
            f"{path} keeps its weights in {', '.join(missing)}, which is not beside it", "copy it there"
        )
    if any(not (path.parent / name).resolve().is_relative_to(path.parent.resolve()) for name in files):
        raise FastDepthError(f"{path} keeps its weights outside of its own folder", "put them beside it")
    size = sum(file.stat().st_size for file in (path, *(path.parent / name for name in files)))
    if size > LARGEST_BYTES:
        raise FastDepthError(
            f"{path} has {size >> 20} MiB with its weights, the limit is {LARGEST_BYTES >> 20}",
            "take a smaller variant of the network, or export it in float16",
        )


def graph_inputs(model: onnx.ModelProto) -> list[Tensor]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [_tensor(value) for value in model.graph.input if value.name not in weights]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    return Tensor(value.name, tuple(dim.dim_value for dim in kind.shape.dim), kind.elem_type)


@dataclass(frozen=True)
class ImageInput:
    """Image input of a network.

    Args:
        layout: "nchw" or "nhwc".
        size: height and width.
    """

    tensor: Tensor
    layout: str
    size: tuple[int, int]


def image_input(path: Path, inputs: list[Tensor], layout: str = "", size: tuple[int, int] | None = None) -> ImageInput:
    """The one input that is an image of three channels.

    Args:
        layout: "nchw" or "nhwc" in place of what the shape says.
        size: height and width where the file leaves them open.

    Raises:
        FastDepthError: no such input or several, or a size that is not said or is another.
    """
    shown = ", ".join(map(str, inputs))
    found = [one for one in inputs if len(one.shape) == 4 and one.kind in IMAGES and _layout(one.shape)]
    if len(found) != 1:
        raise FastDepthError(
            f"{path} has {len(found) or 'no'} image inputs of three channels, its inputs are {shown}",
            "export the network with one color image as input",
        )
    (image,) = found
    if image.shape[0] > 1:
        raise FastDepthError(f"{path} takes {image.shape[0]} images at once", "export it with a batch of 1")
    layouts = _layout(image.shape)
    layout = layout or (layouts[0] if len(layouts) == 1 else "")
    if layout not in layouts:
        raise FastDepthError(f"{path}: the layout of {image} is {' or '.join(layouts)}", "say it by --layout")
    fixed = image.shape[2:] if layout == "nchw" else image.shape[1:3]
    size = size or (fixed[0], fixed[1])
    if not all(size):
        raise FastDepthError(f"{path} leaves the size of {image} open", "say it by --size HEIGHTxWIDTH")
    if any(own not in (0, wanted) for own, wanted in zip(fixed, size)):
        raise FastDepthError(f"{path} takes {fixed[0] or '?'}x{fixed[1] or '?'} pixels, --size is {size[0]}x{size[1]}")
    if min(size) < SMALLEST_PX:
        raise FastDepthError(f"{path}: an input of {size[0]}x{size[1]} pixels is too small, {SMALLEST_PX} is the least")
    return ImageInput(image, layout, size)


def _layout(shape: tuple[int, ...]) -> tuple[str, ...]:
    sure = tuple(layout for layout, axis in (("nchw", 1), ("nhwc", 3)) if shape[axis] == 3)
    return sure or tuple(layout for layout, axis in (("nchw", 1), ("nhwc", 3)) if not shape[axis])


def camera_input(path: Path, inputs: list[Tensor], image: Tensor) -> Tensor | None:
    """The input that takes the camera matrix; None if there is none.

    Raises:
        FastDepthError: an input that is neither the image nor a camera matrix.
    """
    others = [one for one in inputs if one != image]
    cameras = [one for one in others if one.shape[-2:] == (3, 3) and prod(one.shape[:-2]) <= 1 and one.kind in FLOATS]
    if len(others) != len(cameras) or len(cameras) > 1:
        raise FastDepthError(
            f"{path} needs inputs besides the image that this package cannot give: {', '.join(map(str, others))}",
            "export the network for one image, with the camera matrix (3x3) as its only other input",
        )
    return replace(cameras[0], shape=tuple(size or 1 for size in cameras[0].shape)) if cameras else None


def fix_sizes(model: onnx.ModelProto, image: ImageInput) -> None:
    """Fix the sizes of the graph's inputs: a batch of one, and the image's size."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == image.tensor.name:
            for dim, size in zip(dims, (1, 3, *image.size) if image.layout == "nchw" else (1, *image.size, 3)):
                dim.dim_value = size
        else:
            for dim in dims:
                dim.dim_value = dim.dim_value or 1
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def map_size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Rows and columns of a tensor that is one map; None for another."""
    sides = [size for size in shape if size != 1]
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) >= SMALLEST_PX else None


def choose_outputs(
    path: Path, maps: dict[str, np.ndarray], depth: str = "", others: tuple[str, ...] = ()
) -> tuple[str, tuple[str, ...]]:
    """Names of the depth, and of the maps that are not.

    Args:
        maps: all outputs for some input, by name.
        depth: the name, where the user said it.
        others: names that the user said to be something else.

    Raises:
        FastDepthError: no map at all, as of a classifier, a name that is none, or no way to tell.
    """
    shown = ", ".join(f"{name} {'x'.join(map(str, output.shape))}" for name, output in maps.items())
    for name in (*others, *([depth] if depth else [])):
        if name not in maps:
            raise FastDepthError(f"{path} has no output {name!r}, it has {shown}")
    found = [name for name, output in maps.items() if map_size(output.shape) and output.dtype.kind == "f"]
    if not found:
        raise FastDepthError(
            f"{path} gives no map of depth, its outputs are {shown}: a classifier or a detector?",
            "import a network that gives one number for each pixel",
        )
    if depth and depth not in found:
        raise FastDepthError(f"{path}: output {depth!r} is no map of floating-point numbers, there is {shown}")
    left = [name for name in found if name not in others]
    named = [name for name in left if any(word in name.lower() for word in ("depth", "dispar", "inverse"))]
    candidates = [depth] if depth else named if len(named) == 1 else left
    if len(candidates) != 1:
        raise FastDepthError(
            f"{path} has {len(candidates)} outputs that may be the depth: {shown}", "say which by --depth-output"
        )
    return candidates[0], tuple(name for name in found if name != candidates[0])
