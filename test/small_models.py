"""The small models in test/models, committed so that a robot without torch and onnx can test on them.

python test/small_models.py    # makes them anew
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper
from small_networks import TINY as TINY_CHANNELS
from small_networks import lively
from tflite_files import Graph, Part, serialize

from fastdepth_ros.deploy.export import OPSET, export_artifact
from fastdepth_ros.depth.geometry import TRAINED_INPUT_PX

FOLDER = Path(__file__).resolve().parent / "models"
TINY = FOLDER / "tiny"
RED = FOLDER / "red_to_depth.onnx"
RED_TFLITE = {"fp32": FOLDER / "red_to_depth.tflite", "int8": FOLDER / "red_to_depth_int8.tflite"}
TFLITE_PX = (32, 48)  # height, width


def export_tiny(folder: Path) -> None:
    export_artifact(
        lively(TINY_CHANNELS), folder, {"training_data": "none: random weights for tests", "licence": "Apache-2.0"}
    )


def red_to_depth() -> onnx.ModelProto:
    """A network whose answer is known: depth = max(0, (red - 10) / 20)."""
    size = TRAINED_INPUT_PX
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["affine"]),
        helper.make_node("Relu", ["affine"], ["depth"]),
    ]
    graph = helper.make_graph(
        nodes,
        "red_to_depth",
        [helper.make_tensor_value_info("rgb", TensorProto.UINT8, [1, size, size, 3])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, size, size])],
        [
            helper.make_tensor("kernel", TensorProto.FLOAT, [1, 3, 1, 1], [1 / 20, 0, 0]),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [-0.5]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, {"opset": str(OPSET)})
    return model


def red_to_depth_tflite(*, quantized: bool) -> bytes:
    """The same network in TFLite, from RGB / 255: 0 to 12.25 m; in bytes the depth is rounded to 0.06 m."""
    kinds, shape = tflite.TensorType, (1, *TFLITE_PX)
    image = {"kind": kinds.UINT8, "scale": (1 / 255,), "zero_point": (0,)} if quantized else {}
    graph = Graph([Part((*shape, 3), **image)])
    at, kernel, bias = 0, np.array([255 / 20, 0, 0], "<f4").reshape(1, 1, 1, 3), np.array([-0.5], "<f4")
    if quantized:
        at = graph.step("QUANTIZE", [at])
        graph.parts[at] = Part((*shape, 3), kinds.INT8, scale=(1 / 255,), zero_point=(-128,))
        scale = 255 / 20 / 127
        parts = [
            Part(kernel.shape, kinds.INT8, np.rint(kernel / scale).astype("i1").tobytes(), (scale,), (0,)),
            Part((1,), kinds.INT32, np.rint(bias / (scale / 255)).astype("<i4").tobytes(), (scale / 255,), (0,)),
        ]
    else:
        parts = [Part(kernel.shape, data=kernel.tobytes()), Part((1,), data=bias.tobytes())]
    options = {"Padding": 1, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": tflite.ActivationFunctionType.RELU}
    at = graph.step("CONV_2D", [at, *map(graph.add, parts)], "Conv2DOptions", **options)
    stored = {"kind": kinds.INT8, "scale": (0.06,), "zero_point": (-128,)} if quantized else {}
    graph.parts[at] = Part((*shape, 1), **stored)
    return serialize(graph)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    export_tiny(TINY)
    onnx.save(red_to_depth(), RED)
    for precision, path in RED_TFLITE.items():
        path.write_bytes(red_to_depth_tflite(quantized=precision == "int8"))
