"""OpenVINO: the fastest on processors of Intel and AMD, above all in int8."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdepth_ros.backends.base import BackendError, BackendOptions, ModelFile, register_backend
from fastdepth_ros.backends.cache import engine_cache
from fastdepth_ros.backends.channels import read_model

# What the graph computes in; an int8 file says it layer by layer, and the rest of it is float32.
COMPUTES_IN = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}


@register_backend
class OpenVinoBackend:
    """Runs `model.onnx` on the device that `device` names: cpu, gpu, gpu.1, npu, ...

    Raises:
        BackendError: the device is not there or cannot compute so, or the file is not what its manifest says.
    """

    name = "openvino"
    model_format = "onnx"
    module = "openvino"
    install = "pip install 'fastdepth_ros[openvino]'"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        import openvino

        core = openvino.Core()
        device = options.device.upper()
        if device.partition(".")[0] not in {name.partition(".")[0] for name in core.available_devices}:
            there = ", ".join(name.lower() for name in core.available_devices)
            raise BackendError(f"openvino has no device {options.device!r} here, it has {there}")
        try:
            network = core.read_model(read_model(model.path, options.channels), b"")
            _check(network, model)
            compiled = core.compile_model(network, device, _settings(model, options, openvino.get_version()))
        except RuntimeError as error:
            raise BackendError(f"openvino cannot load {model.path} (opset {model.opset}): {error}") from error
        self._request = compiled.create_infer_request()
        self.channels = options.channels
        emulated = options.precision == "bf16" and "BF16" not in core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        text = options.device_text + (" emulated" if emulated else "")
        self.engine = f"openvino {openvino.__version__.partition('-')[0]} ({text})"

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        depth = self._request.infer(pixels[None], share_inputs=True)[0]  # (1, 1, size, size)
        return depth[0, 0]


def _settings(model: ModelFile, options: BackendOptions, version: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": COMPUTES_IN[options.precision],
    }
    if options.device.lower() == "cpu":
        settings["ENABLE_CPU_PINNING"] = False  # two processes would sit on the same cores
        if options.thread_limit:
            settings["INFERENCE_NUM_THREADS"] = options.thread_limit
    else:
        settings["CACHE_DIR"] = str(engine_cache(f"openvino-{version.partition('-')[0]}", model))
    return settings


def _check(network: Any, model: ModelFile) -> None:
    """Does the graph take what the manifest says it takes?"""
    found = network.inputs[0]
    wanted = [1, model.input_size_px, model.input_size_px, 3]
    shape = list(found.partial_shape.to_shape()) if found.partial_shape.is_static else str(found.partial_shape)
    if len(network.inputs) != 1 or found.element_type.get_type_name() != "u8" or shape != wanted:
        raise BackendError(
            f"{model.path} takes {found.element_type.get_type_name()} {shape}, its manifest says u8 {wanted}"
        )
