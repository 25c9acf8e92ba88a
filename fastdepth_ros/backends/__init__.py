"""Engines that run an artifact, one a file. Importing this folder imports no engine."""

from fastdepth_ros.backends import onnxruntime, openvino, pytorch, tvm  # noqa: F401  (they register themselves)
from fastdepth_ros.backends.base import (
    Backend,
    BackendError,
    BackendOptions,
    ModelFile,
    NotInstalledError,
    backend_class,
    backend_names,
)

__all__ = [
    "Backend",
    "BackendError",
    "BackendOptions",
    "ModelFile",
    "NotInstalledError",
    "backend_class",
    "backend_names",
]
