"""Interface of a backend, the registry of backends, and the cache of built engines."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.registry import Registry
from fastdepth_ros.share import cache_folder

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
CHANNELS = ("rgb", "bgr")
INTERFACE = ("model_format", "module", "install", "infer")  # what a class must have to be a backend


class BackendError(FastDepthError):
    """A backend that is unknown, not installed, or that cannot run this model; the message says what to do."""


class NotInstalledError(BackendError):
    """A backend whose engine is not on this machine."""


@dataclass(frozen=True)
class ModelFile:
    """One file of an artifact, its sha256 already verified.

    Args:
        path: the file.
        input_px: height and width of the network input.
        opset: ONNX operator set, where the file is ONNX.
        facts: all that the manifest says of the file.
        outputs: names of the network's outputs, the fields of `Outputs` that it fills.
        takes_camera: the network has a second input, the camera matrix.
    """

    path: Path
    input_px: tuple[int, int]
    opset: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("depth",)
    takes_camera: bool = False


class Outputs(NamedTuple):
    """Named outputs of a network for one frame.

    Args:
        depth: float32 (rows, columns) meters, NaN where the network has no answer, +inf where it sees the sky.
        confidence: float32 (rows, columns) as the network says it; None where it says none.
    """

    depth: np.ndarray
    confidence: np.ndarray | None = None


@dataclass(frozen=True)
class BackendOptions:
    """Options of a backend.

    Args:
        threads: number of engine threads; 0: the engine chooses.
        device: "cpu", or what the backend calls its other devices ("cuda", "cuda:1", "tensorrt").
        power_save: threads sleep while they wait, and 0 threads are half the cores; costs milliseconds.
        precision: precision of the model file, one of PRECISIONS.
        channels: order of the network input's channels, one of CHANNELS.

    Raises:
        BackendError: an unknown precision or channel order, a negative number of threads.

    >>> BackendOptions(threads=3).thread_limit
    3
    """

    threads: int = 0
    device: str = "cpu"
    power_save: bool = False
    precision: str = "fp32"
    channels: str = "rgb"

    def __post_init__(self) -> None:
        for name, value, known in (("precision", self.precision, PRECISIONS), ("channels", self.channels, CHANNELS)):
            if value not in known:
                raise BackendError(f"{name} is {value!r}, it can be {', '.join(known)}")
        if self.threads < 0:
            raise BackendError(f"threads is {self.threads}, it can be 0 (the engine chooses) or more")

    @property
    def thread_limit(self) -> int:
        """Number of threads that the engine may use; 0: the engine chooses."""
        if self.threads or not self.power_save:
            return self.threads
        from fastdepth_ros.jobs.cores import available_cores

        return max(1, available_cores() // 2)


class Backend(Protocol):
    """An engine with a model loaded.

    Class attributes:
        model_format: key of the artifact's file that it runs.
        module: Python module that it needs.
        install: command that installs it.

    Attributes:
        engine: engine, version, device, and what it computes where that is not fp32, for diagnostics:
            "onnxruntime 1.31.1 (cpu)".
        computes: the precision, and in words how it is computed where the engine does not compute in it: "fp32",
            "fp16 file, f32 arithmetic", "bf16 emulated".
        channels: order of the network input's channels: "rgb", or "bgr" where the options ask for it.
    """

    model_format: str
    module: str
    install: str
    engine: str
    computes: str
    channels: str

    def __init__(self, model: ModelFile, options: BackendOptions) -> None: ...

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        """Run the network once.

        Args:
            pixels: network input, uint8 (height, width, 3) in C order, channels as `channels` says.
            camera: float32 (3, 3) camera matrix at the network input, for a network that takes it; else not given.

        Returns:
            Arrays owned by the caller. A backend of another distribution may return the depth alone, an array.
        """


class CheckedBackend:
    """A backend of another distribution: its calls return Outputs, or raise BackendError where it returned neither
    these nor a depth of two axes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        returned = self._backend.infer(pixels) if camera is None else self._backend.infer(pixels, camera)
        outputs = returned if isinstance(returned, Outputs) else Outputs(returned)
        if getattr(outputs.depth, "ndim", 0) != 2:
            raise BackendError(
                f"{self._backend.engine} returned {type(returned).__name__} {returned!r:.60}",
                "it should return Outputs or a depth of two axes",
            )
        return outputs


def engine_text(name_and_version: str, device: str, computes: str) -> str:
    """Text of `Backend.engine`.

    >>> engine_text("onnxruntime 1.31.1", "cpu", in_f32("fp16"))
    'onnxruntime 1.31.1 (cpu, fp16 file, f32 arithmetic)'
    """
    return f"{name_and_version} ({device})" if computes == "fp32" else f"{name_and_version} ({device}, {computes})"


def in_f32(precision: str) -> str:
    """Text of `Backend.computes` for a file of another precision that is computed in float32."""
    return f"{precision} file, f32 arithmetic"


OURS = ("litert", "onnxruntime", "openvino", "pytorch", "tvm")
BACKENDS = Registry[type[Backend]](
    "backend",
    modules={name: f"fastdepth_ros.backends.{name}" for name in OURS},
    entry_points="fastdepth_ros.backends",
    error=BackendError,
)


def backend_names(formats: Container[str] | None = None) -> list[str]:
    """Names of the backends, or of those that run a file of one of these formats; installed or not.

    Raises:
        BackendError: a backend of another distribution has to be imported for its format, and cannot be.
    """
    return sorted(name for name in BACKENDS if formats is None or BACKENDS[name].model_format in formats)


def backend_class(name: str) -> type[Backend]:
    """Look a backend up, without importing its engine.

    Raises:
        BackendError: unknown, or another distribution's that cannot be imported or is no backend; lists what there is.
        NotInstalledError: its engine is not on this machine; lists what there is.
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}", f"there is {_listing()}")
    cls = BACKENDS[name]
    lacking = [attribute for attribute in INTERFACE if not hasattr(cls, attribute)]
    if lacking:
        raise BackendError(f"backend {name!r} is {cls!r}, which lacks {', '.join(lacking)}", f"there is {_listing()}")
    if find_spec(cls.module) is None:
        raise NotInstalledError(f"backend {name!r} is not installed: {cls.install}", f"there is {_listing()}")
    return cls


def _listing() -> str:
    """The names, each with what keeps it from running here."""
    return ", ".join(f"{name} ({why})" if (why := _obstacle(name)) else name for name in backend_names())


def _obstacle(name: str) -> str:
    try:
        cls = BACKENDS[name]
        return "" if find_spec(cls.module) else f"not installed: {cls.install}"
    except (BackendError, AttributeError):
        return "broken"


def engine_cache(engine: str, model: ModelFile) -> Path:
    """A folder of the user's for one release of an engine that takes minutes to build a model file for a GPU.

    It is made if need be.

    Args:
        engine: engine with its version: "tensorrt-1.31.1".
        model: model file; its content names the folder, so that new weights never meet an old engine.
    """
    digest = model.facts.get("sha256") or hashlib.sha256(model.path.read_bytes()).hexdigest()
    folder = cache_folder() / engine / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
