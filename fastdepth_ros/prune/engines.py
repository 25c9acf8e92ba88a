"""Engines that a lookup table can be measured with: each takes a module and returns something to time."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from fastdepth_ros.errors import FastDepthError

OPSET = 17
Run = Callable[[], object]
Engine = Callable[[nn.Module, Tensor, int], Run]
ENGINES: dict[str, Engine] = {}


def engine(name: str) -> Callable[[Engine], Engine]:
    """Decorator of a function (module, input, threads) -> a call that runs the module once at batch 1."""

    def keep(function: Engine) -> Engine:
        ENGINES[name] = function
        return function

    return keep


def engine_version(name: str) -> str:
    """ "onnxruntime 1.31.0"; raises ValueError, with the known ones, for an unknown name."""
    if name not in ENGINES:
        raise FastDepthError(f"unknown engine {name!r}, there is {', '.join(sorted(ENGINES))}")
    return f"{name} {version('torch' if name == 'pytorch' else name)}"


@engine("onnxruntime")
def with_onnxruntime(module: nn.Module, example: Tensor, threads: int) -> Run:
    import onnxruntime

    from fastdepth_ros.backends.onnxruntime import session_options

    session = onnxruntime.InferenceSession(
        _onnx(module, example), session_options(threads), providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: example.numpy()}
    return lambda: session.run(None, feed)


@engine("openvino")
def with_openvino(module: nn.Module, example: Tensor, threads: int) -> Run:
    from fastdepth_ros.backends.openvino import shared_core

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        hints["INFERENCE_NUM_THREADS"] = str(threads)
    core = shared_core()
    request = core.compile_model(core.read_model(_onnx(module, example)), "CPU", hints).create_infer_request()
    array = example.numpy()
    return lambda: request.infer([array], share_inputs=True)


@engine("pytorch")
def with_pytorch(module: nn.Module, example: Tensor, threads: int) -> Run:
    frozen = torch.jit.freeze(torch.jit.trace(module.eval(), example))

    def run() -> Tensor:
        with torch.inference_mode():
            return frozen(example)

    if threads:
        torch.set_num_threads(threads)
    return run


def _onnx(module: nn.Module, example: Tensor) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        file = Path(folder) / "layer.onnx"
        torch.onnx.export(module.eval(), (example,), str(file), opset_version=OPSET, dynamo=False)
        return file.read_bytes()
