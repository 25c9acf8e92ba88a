"""ONNX Runtime: the default backend, small enough for a robot."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.backends.base import BackendError, BackendOptions, ModelFile, register_backend


@register_backend
class OnnxRuntimeBackend:
    """Runs `model.onnx` on the execution provider that `device` names: cpu, cuda, tensorrt, ...

    Raises:
        BackendError: the provider is not in this build of ONNX Runtime, or the file is not what its manifest says.
    """

    name = "onnxruntime"
    model_format = "onnx"
    module = "onnxruntime"
    install = "pip install onnxruntime"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3  # its warnings about unknown hardware say nothing to a user
        provider = _provider(options.device, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(str(model.path), settings, providers=[provider])
        except Exception as error:  # its error classes share no base but Exception
            raise BackendError(f"onnxruntime cannot load {model.path} (opset {model.opset}): {error}") from error
        if self._session.get_providers()[0] != provider:
            raise BackendError(f"onnxruntime could not start {provider}; see its log, or choose device 'cpu'")
        self._check(model)
        self.engine = f"onnxruntime {onnxruntime.__version__} ({options.device})"
        self._input = self._session.get_inputs()[0].name

    def _check(self, model: ModelFile) -> None:
        """Does the graph take what the manifest says it takes?"""
        found = self._session.get_inputs()[0]
        wanted = [1, model.input_size_px, model.input_size_px, 3]
        if len(self._session.get_inputs()) != 1 or found.type != "tensor(uint8)" or found.shape != wanted:
            raise BackendError(
                f"{model.path} takes {found.type} {found.shape}, its manifest says tensor(uint8) {wanted}"
            )
        opset = self._session.get_modelmeta().custom_metadata_map.get("opset")
        if opset != str(model.opset):
            raise BackendError(f"{model.path} is of opset {opset}, its manifest says {model.opset}")

    def infer(self, rgb: np.ndarray) -> np.ndarray:
        (depth,) = self._session.run(None, {self._input: rgb[None]})  # (1, 1, size, size)
        return depth[0, 0]


def _provider(device: str, available: list[str]) -> str:
    by_device = {provider.removesuffix("ExecutionProvider").lower(): provider for provider in available}
    if device not in by_device:
        raise BackendError(f"onnxruntime has no device {device!r} here, it has {', '.join(sorted(by_device))}")
    return by_device[device]
