"""ONNX Runtime: the default backend, small enough for a robot."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from fastdepth_ros.backends.base import (
    BACKENDS,
    BackendError,
    BackendOptions,
    ModelFile,
    Outputs,
    engine_cache,
    engine_text,
    in_f32,
)  # fmt: skip


@BACKENDS.register("onnxruntime")
class OnnxRuntimeBackend:
    """Runs `model.onnx` on the execution provider that `device` names: cpu, cuda, tensorrt, ...

    Raises:
        BackendError: the provider is not in this build of ONNX Runtime, or the file is not what its manifest says.
    """

    model_format = "onnx"
    module = "onnxruntime"
    install = "pip install onnxruntime"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        import onnxruntime

        settings = session_options(options.thread_limit)
        if options.power_save:
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if options.precision == "bf16":
            raise BackendError("onnxruntime does not compute in bf16; backend openvino does")
        provider = _provider(options.device, onnxruntime.get_available_providers())
        facts = provider_options(provider, model, options, onnxruntime.__version__)
        content = _read(model, options.channels)
        try:
            self._session = onnxruntime.InferenceSession(content, settings, [provider], [facts])
        except Exception as error:  # its error classes share no base but Exception
            raise BackendError(f"onnxruntime cannot load {model.path} (opset {model.opset}): {error}") from error
        if self._session.get_providers()[0] != provider:
            raise BackendError(f"onnxruntime could not start {provider}; see its log, or choose device 'cpu'")
        self._check(model)
        self.computes, self.channels = _computes_here(provider, options.precision), options.channels
        self.engine = engine_text(f"onnxruntime {onnxruntime.__version__}", options.device, self.computes)
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._outputs = list(model.outputs) if len(model.outputs) > 1 else None  # an only output may have any name

    def _check(self, model: ModelFile) -> None:
        """Does the graph take and give what the manifest says?"""
        found = [f"{entry.type} {entry.shape}" for entry in self._session.get_inputs()]
        wanted = [f"tensor(uint8) {[1, *model.input_px, 3]}"] + ["tensor(float) [1, 3, 3]"] * model.takes_camera
        if found != wanted:
            raise BackendError(f"{model.path} takes {', '.join(found)}, its manifest says {', '.join(wanted)}")
        outputs = [entry.name for entry in self._session.get_outputs()]
        if len(outputs) != len(model.outputs) or (len(outputs) > 1 and set(outputs) != set(model.outputs)):
            raise BackendError(f"{model.path} gives {', '.join(outputs)}, its manifest says {', '.join(model.outputs)}")
        opset = self._session.get_modelmeta().custom_metadata_map.get("opset")
        if opset != str(model.opset):
            raise BackendError(f"{model.path} is of opset {opset}, its manifest says {model.opset}")

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        given = (pixels,) if camera is None else (pixels, camera)
        feed = {name: array[None] for name, array in zip(self._inputs, given)}
        return Outputs(*(output[0, 0] for output in self._session.run(self._outputs, feed)))  # (1, 1, rows, columns)


def session_options(threads: int) -> Any:
    """ONNX Runtime's SessionOptions as all of us use them."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3  # its warnings about unknown hardware say nothing to a user
    settings.add_session_config_entry("session.force_spinning_stop", "1")  # between frames none spins
    return settings


def _read(model: ModelFile, channels: str) -> bytes:
    if channels == "rgb":
        return model.path.read_bytes()
    from fastdepth_ros.backends.channels import read_model  # most robots use rgb

    return read_model(model.path, channels)


def _computes_here(provider: str, precision: str) -> str:
    if precision == "fp32":
        return precision
    from fastdepth_ros.backends.native import host_features

    return computes(provider, precision, host_features())


def _provider(device: str, available: list[str]) -> str:
    by_device = {provider.removesuffix("ExecutionProvider").lower(): provider for provider in available}
    if device not in by_device:
        raise BackendError(f"onnxruntime has no device {device!r} here, it has {', '.join(sorted(by_device))}")
    return by_device[device]


def computes(provider: str, precision: str, cpu_features: Container[str]) -> str:
    """Arithmetic in which an execution provider computes a file of a precision, for `Backend.computes`.

    It cannot be asked. On a CPU, kernels in float16 exist for Arm alone; elsewhere casts surround those in float32.
    CUDA has none in int8.

    >>> computes("CPUExecutionProvider", "fp16", ["avx2"]), computes("CUDAExecutionProvider", "fp16", [])
    ('fp16 file, f32 arithmetic', 'fp16')
    """
    without_f16 = provider == "CPUExecutionProvider" and "asimdhp" not in cpu_features
    without_int8 = provider == "CUDAExecutionProvider"
    replaced = (precision == "fp16" and without_f16) or (precision == "int8" and without_int8)
    return in_f32(precision) if replaced else precision


def provider_options(provider: str, model: ModelFile, options: BackendOptions, version: str) -> dict[str, Any]:
    """TensorRT builds its engine for minutes: it keeps it for the next start."""
    if provider != "TensorrtExecutionProvider":
        return {}
    folder = str(engine_cache(f"tensorrt-onnxruntime-{version}", model))
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": folder,
        "trt_fp16_enable": options.precision == "fp16",
        "trt_int8_enable": options.precision == "int8",  # scales are in the file
    }
