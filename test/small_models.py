"""The small models in test/models, committed so that a robot without torch and onnx can test on them.

python test/small_models.py    # makes them anew
"""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from small_networks import TINY as TINY_CHANNELS
from small_networks import lively

from fastdepth_ros.deploy.export import OPSET, export_artifact
from fastdepth_ros.depth.geometry import TRAINED_INPUT_PX

FOLDER = Path(__file__).resolve().parent / "models"
TINY = FOLDER / "tiny"
RED = FOLDER / "red_to_depth.onnx"


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


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    export_tiny(TINY)
    onnx.save(red_to_depth(), RED)
