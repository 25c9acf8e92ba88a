"""Engines that run an artifact, one a file. Importing this folder imports no engine."""

from fastdepth_ros.backends.base import (
    BACKENDS,
    Backend,
    BackendError,
    BackendOptions,
    ModelFile,
    NotInstalledError,
    Outputs,
    backend_class,
    backend_names,
)  # fmt: skip

__all__ = [
    "BACKENDS", "Backend", "BackendError", "BackendOptions", "ModelFile", "NotInstalledError", "Outputs",
    "backend_class", "backend_names",
]  # fmt: skip
