"""TVM: a network compiled to code for one kind of processor by `fastdepth compile`."""

from __future__ import annotations

import os
import threading
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from fastdepth_ros.backends.base import BACKENDS, BackendError, BackendOptions, ModelFile, Outputs, engine_text
from fastdepth_ros.backends.native import check_library
from fastdepth_ros.jobs.cores import available_cores

SETTINGS = {
    "TVM_BIND_THREADS": "0",  # else two processes sit on the same cores, and taskset is void
    "TVM_FFI_DISABLE_TORCH_C_DLPACK": "1",  # else it compiles an extension where torch is installed
}
PACKAGES = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi"}


@BACKENDS.register("tvm")
class TvmBackend:
    """Runs `model.so` on the device that it was compiled for: cpu, or cuda.

    Raises:
        BackendError: the module is for another processor, device or TVM, or it is cut short. Said before
            the module is loaded, since loading such a one would end the process.
    """

    model_format = "tvm"
    module = "tvm"
    install = "pip install 'fastdepth_ros[tvm]'"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        built = _built_for(model)
        _check_versions(model, built)
        if options.device.partition(":")[0] != built["device"]:
            raise BackendError(f"{model.path} is compiled for device {built['device']!r}, not {options.device!r}")
        if (options.precision, options.channels) != ("fp32", "rgb"):
            raise BackendError(
                f"{model.path} is compiled for fp32 and rgb, not {options.precision} and {options.channels}"
            )
        check_library(model.path, built["cpu_features"])
        threads = options.thread_limit or available_cores()
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        if options.power_save:
            os.environ["TVM_THREAD_POOL_SPIN_COUNT"] = "0"
        os.environ["TVM_NUM_THREADS"] = str(threads)  # how many a pool may have; by itself it takes half the CPUs
        import tvm.runtime
        from tvm.runtime.vm import VirtualMachine

        self._device = tvm.runtime.device(options.device)
        if not self._device.exist:
            raise BackendError(f"tvm finds no device {options.device!r} here")
        try:
            self._main = VirtualMachine(tvm.runtime.load_module(str(model.path)), self._device)["main"]
        except (AttributeError, RuntimeError, OSError, ValueError) as error:
            raise BackendError(f"tvm cannot load {model.path}: {error}") from error
        shape = (1, *model.input_px, 3)
        self._input = tvm.runtime.empty(shape, "uint8", self._device)
        self._set_threads = tvm.get_global_func("runtime.config_threadpool")
        self._threads, self._thread = threads, 0
        self.computes, self.channels = "fp32", options.channels
        self.engine = engine_text(f"tvm {built['tvm']}", options.device, self.computes)

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        if self._thread != threading.get_ident():  # each thread that calls has a pool of its own
            self._thread = threading.get_ident()
            self._set_threads(0, self._threads)
        self._input.copyfrom(pixels[None])
        return Outputs(self._main(self._input).numpy()[0, 0])


def installed_versions() -> dict[str, str]:
    """TVM's packages as they are installed; "unknown" where TVM was built from source without saying."""
    found = {}
    for key, package in PACKAGES.items():
        try:
            found[key] = version(package)
        except PackageNotFoundError:
            found[key] = "unknown"
    return found


def _built_for(model: ModelFile) -> dict:
    missing = [key for key in ("tvm", "tvm_ffi", "device", "cpu_features") if key not in model.facts]
    if missing:
        raise BackendError(f"the manifest beside {model.path} does not say {', '.join(missing)}; compile it again")
    return dict(model.facts)


def _check_versions(model: ModelFile, built: dict) -> None:
    for key, found in installed_versions().items():
        if found != built[key]:
            raise BackendError(
                f"{model.path} was compiled with {PACKAGES[key]} {built[key]}, here is {found}: "
                f"pip install {PACKAGES[key]}=={built[key]}, or compile it again"
            )
