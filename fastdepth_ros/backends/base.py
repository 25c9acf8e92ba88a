"""Interface of a backend, and the registry of backends."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import available_cores

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
CHANNELS = ("rgb", "bgr")


class BackendError(FastDepthError):
    """A backend that is unknown, not installed, or that cannot run this model; the message says what to do."""


class NotInstalledError(BackendError):
    """A backend whose engine is not on this machine."""


@dataclass(frozen=True)
class ModelFile:
    """One file of an artifact, its sha256 already verified.

    Args:
        path: the file.
        input_size_px: side of the square network input.
        opset: ONNX operator set, where the file is ONNX.
        facts: all that the manifest says of the file.
    """

    path: Path
    input_size_px: int
    opset: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BackendOptions:
    """Options of a backend.

    Args:
        threads: of the engine; 0 leaves the number to it.
        device: "cpu", or what the backend calls its other devices ("cuda", "cuda:1", "tensorrt").
        power_save: threads sleep while they wait, and 0 threads are half the cores; costs milliseconds.
        precision: of the artifact's file, one of PRECISIONS.
        channels: order of the network input's channels, one of CHANNELS.

    Raises:
        BackendError: an unknown precision or channel order.
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

    @property
    def thread_limit(self) -> int:
        """Number of threads that the engine may use; 0: the engine chooses."""
        return max(1, available_cores() // 2) if self.power_save and not self.threads else self.threads


class Backend(Protocol):
    """An engine with a model loaded.

    Class attributes:
        name: under which it is registered.
        model_format: key of the artifact's file that it runs.
        module: the import that must be there.
        install: what to type when it is not.

    Attributes:
        engine: engine, version, device, and what it computes where that is not fp32, for diagnostics:
            "onnxruntime 1.31.1 (cpu)".
        computes: the precision, and in words how it is computed where the engine does not compute in it: "fp32",
            "fp16 file, f32 arithmetic", "bf16 emulated".
        channels: order of the network input's channels: "rgb", or "bgr" where the options ask for it.
    """

    name: str
    model_format: str
    module: str
    install: str
    engine: str
    computes: str
    channels: str

    def __init__(self, model: ModelFile, options: BackendOptions) -> None: ...

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        """Run the network once.

        Args:
            pixels: network input, uint8 (size, size, 3) in C order, channels as `channels` says.

        Returns:
            float32 (size, size) meters, owned by the caller.
        """


def engine_text(name_and_version: str, device: str, computes: str) -> str:
    """Text of `Backend.engine`."""
    return f"{name_and_version} ({device})" if computes == "fp32" else f"{name_and_version} ({device}, {computes})"


def in_f32(precision: str) -> str:
    """Text of `Backend.computes` for a file of another precision that is computed in float32."""
    return f"{precision} file, f32 arithmetic"


_REGISTRY: dict[str, type[Backend]] = {}


def register_backend(cls: type[Backend]) -> type[Backend]:
    """Class decorator: makes a backend available under its `name`."""
    _REGISTRY[cls.name] = cls
    return cls


def backend_names(formats: Container[str] | None = None) -> list[str]:
    """Names of the backends, or of those that run a file of one of these formats; installed or not."""
    return sorted(name for name, cls in _REGISTRY.items() if formats is None or cls.model_format in formats)


def backend_class(name: str) -> type[Backend]:
    """Look a backend up, without importing its engine.

    Raises:
        BackendError: unknown; lists what there is.
        NotInstalledError: its engine is not on this machine; lists what there is.
    """
    if name not in _REGISTRY:
        raise BackendError(f"unknown backend {name!r}; there is {_listing()}")
    cls = _REGISTRY[name]
    if not _installed(cls):
        raise NotInstalledError(f"backend {name!r} is not installed: {cls.install}; there is {_listing()}")
    return cls


def _installed(cls: type[Backend]) -> bool:
    return find_spec(cls.module) is not None


def _listing() -> str:
    def entry(cls: type[Backend]) -> str:
        return cls.name if _installed(cls) else f"{cls.name} (not installed: {cls.install})"

    return ", ".join(entry(_REGISTRY[name]) for name in backend_names())
