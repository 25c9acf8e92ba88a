"""OpenVINO: the fastest on processors of Intel and AMD, above all in int8."""

from __future__ import annotations

import threading
from collections.abc import Container
from concurrent.futures import Future
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
from fastdepth_ros.backends.channels import read_model

_making = threading.Lock()
_core: Any = None


@BACKENDS.register("openvino")
class OpenVinoBackend:
    """Runs `model.onnx` on the device that `device` names: cpu, gpu, gpu.1, npu, ...

    Raises:
        BackendError: the device is not there or cannot compute so, or the file is not what its manifest says.
    """

    model_format = "onnx"
    module = "openvino"
    install = "pip install 'fastdepth_ros[openvino]'"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        import openvino

        core = shared_core()
        device = options.device.upper()
        if device.partition(".")[0] not in {name.partition(".")[0] for name in core.available_devices}:
            there = ", ".join(name.lower() for name in core.available_devices)
            raise BackendError(f"openvino has no device {options.device!r} here, it has {there}")
        kind, self.computes = arithmetic(options, core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        try:
            network = core.read_model(read_model(model.path, options.channels), b"")
            _check(network, model)
            compiled = core.compile_model(network, device, _settings(model, options, kind, openvino.get_version()))
            found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        except RuntimeError as error:
            raise BackendError(f"openvino cannot load {model.path} (opset {model.opset}): {error}") from error
        if found != kind:  # it takes the hint for a wish
            raise BackendError(
                f"openvino computes in {found} on {options.device}, where {kind} was asked for precision "
                f"{options.precision}; choose another precision"
            )
        self._request = compiled.create_infer_request()
        single = len(model.outputs) == 1  # an only output may have any name
        self._outputs = [0] if single else [compiled.output(name) for name in model.outputs]
        self.channels = options.channels
        version = openvino.__version__.partition("-")[0]
        self.engine = engine_text(f"openvino {version}", options.device, self.computes)

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        given = [pixels[None]] if camera is None else [pixels[None], camera[None]]
        found = self._request.infer(given, share_inputs=True)
        return Outputs(*(found[output][0, 0] for output in self._outputs))  # (1, 1, rows, columns)


def shared_core() -> Any:
    """The one OpenVINO core of this process, made at the first call and kept to the end.

    The CPU plugin gives the thread that makes it an alternate signal stack, and unmaps the stack when the plugin goes.
    That thread's next signal would then end the process: Python's handlers run on that stack. So the core makes its
    plugins on a thread that ends at once and never handles a signal.
    """
    global _core
    with _making:
        if _core is None:
            made: Future[Any] = Future()
            thread = threading.Thread(target=_make_core, args=(made,), name="openvino core", daemon=True)
            thread.start()
            thread.join()
            _core = made.result()
        return _core


def _make_core(made: Future[Any]) -> None:
    import openvino

    try:
        core = openvino.Core()
        core.available_devices  # noqa: B018  (makes the plugins)
        made.set_result(core)
    except BaseException as error:  # of the thread that waits
        made.set_exception(error)


def arithmetic(options: BackendOptions, capabilities: Container[str]) -> tuple[str, str]:
    """Precision that the graph computes in: OpenVINO's name, and words for `Backend.computes`.

    Args:
        capabilities: OPTIMIZATION_CAPABILITIES of the device. Asked for what it lacks, a device takes another
            precision and does not say so.

    Raises:
        BackendError: the device computes in nothing that suits the precision.

    >>> arithmetic(BackendOptions(precision="fp16"), ["FP32"]), arithmetic(BackendOptions(precision="fp16"), ["FP16"])
    (('f32', 'fp16 file, f32 arithmetic'), ('f16', 'fp16'))
    """
    precision = options.precision
    if precision == "fp16" and "FP16" in capabilities:
        return "f16", precision
    if precision == "bf16":
        return "bf16", precision if "BF16" in capabilities else f"{precision} emulated"
    if precision == "int8" and "INT8" in capabilities:  # layer by layer, as the file says; this is of the rest
        return ("f32" if "FP32" in capabilities else "f16"), precision
    if "FP32" not in capabilities:
        raise BackendError(f"openvino does not compute in fp32 on {options.device}; choose precision fp16 or int8")
    return "f32", precision if precision == "fp32" else in_f32(precision)


def _settings(model: ModelFile, options: BackendOptions, kind: str, version: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": kind}
    if options.device.lower() == "cpu":
        settings["ENABLE_CPU_PINNING"] = False  # two processes would sit on the same cores
        if options.thread_limit:
            settings["INFERENCE_NUM_THREADS"] = options.thread_limit
    else:
        settings["CACHE_DIR"] = str(engine_cache(f"openvino-{version.partition('-')[0]}", model))
    return settings


def _check(network: Any, model: ModelFile) -> None:
    """Does the graph take and give what the manifest says?"""
    found = [f"{entry.element_type.get_type_name()} {_shape(entry.partial_shape)}" for entry in network.inputs]
    wanted = [f"u8 {[1, *model.input_px, 3]}"] + ["f32 [1, 3, 3]"] * model.takes_camera
    if found != wanted:
        raise BackendError(f"{model.path} takes {', '.join(found)}, its manifest says {', '.join(wanted)}")
    outputs = [name for entry in network.outputs for name in entry.names]
    missing = set(model.outputs) - set(outputs) if len(model.outputs) > 1 else set()
    if missing or len(network.outputs) != len(model.outputs):
        raise BackendError(f"{model.path} gives {', '.join(outputs)}, its manifest says {', '.join(model.outputs)}")


def _shape(shape: Any) -> str:
    return str(list(shape.to_shape()) if shape.is_static else shape)
