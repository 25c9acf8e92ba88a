"""Inert stand-ins for pickled classes; nothing is imported.

A pickle is a program: it names classes and functions, calls them and sets attributes of what comes back. Each name
must stand in a table here, and what it stands for only keeps what it is given: a module becomes a `Shell` with its
state, a tensor a note of where its numbers lie. No class is imported, torch's own included.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from fastdepth_ros.errors import FastDepthError

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
SHELLS = {  # module -> its names that become shells
    "models": "BLConv DeConv Decoder Identity MobileNet MobileNetSkipAdd MobileNetSkipConcat NNConv ResNet "
    "ResNetSkipAdd ResNetSkipConcat ShuffleConv Unpool UpConv UpProj upproj",
    "imagenet.mobilenet": "MobileNet",
    "metrics": "AverageMeter Result",
    "torch": "Size device",
    "torch.nn.backends.thnn": "_get_thnn_function_backend",  # an attribute of every module of torch 0.4
    "torch.nn.modules.activation": "Hardtanh ReLU ReLU6",
    "torch.nn.modules.batchnorm": "BatchNorm2d",
    "torch.nn.modules.container": "ModuleList Sequential",
    "torch.nn.modules.conv": "Conv2d ConvTranspose2d",
    "torch.nn.modules.dropout": "Dropout Dropout2d",
    "torch.nn.modules.linear": "Identity Linear",
    "torch.nn.modules.pooling": "AdaptiveAvgPool2d AvgPool2d MaxPool2d",
    "torch.nn.modules.upsampling": "Upsample UpsamplingNearest2d",
    "torch.nn.parallel.data_parallel": "DataParallel",
    "torch.nn.parallel.distributed": "DistributedDataParallel",
    "torch.optim.adam": "Adam",
    "torch.optim.sgd": "SGD",
    "torchvision.models.resnet": "BasicBlock Bottleneck ResNet",
    "argparse": "Namespace",
    "collections": "Counter",
    "numpy": "dtype",
    "numpy.core.multiarray": "scalar",
    "numpy._core.multiarray": "scalar",
    "_codecs": "encode",  # how protocol 2 writes the bytes of a numpy scalar
}
KNOWN_AS = {"posix": "os", "nt": "os", "__builtin__": "builtins", "commands": "subprocess"}  # to whom reads an error


class RefusedError(FastDepthError):
    """The name of what is not in the tables."""


class Shell:
    """An object of the file whose class was not loaded. Each class of the file has a subclass of its own.

    Attributes:
        kind: the name of the class, ``torch.nn.modules.conv.Conv2d``.
        state: its attributes by name.
    """

    __slots__ = ("state",)
    kind = ""

    def __new__(cls, *_arguments: Any) -> Any:
        shell = object.__new__(cls)
        shell.state = {}
        return shell

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:  # without it a pickle could set attributes of the class
        self.state = state if isinstance(state, dict) else {}

    def part(self, name: str) -> Mapping[str, Any]:
        """One of a module's three tables, `_modules`, `_parameters` or `_buffers`."""
        table = self.state.get(name)
        return table if isinstance(table, dict) else {}


class Storage(NamedTuple):
    """A row of numbers in the file: `length` of them from number `start` of the record `key`."""

    key: str
    dtype: torch.dtype
    start: int
    length: int


class StoredTensor(NamedTuple):
    """Place of a tensor's numbers in its storage: offset of the first one, stride of each axis."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class StorageType(NamedTuple):
    """torch.FloatStorage and its like."""

    dtype: torch.dtype


class _Dict(dict):
    """OrderedDict and defaultdict. Slots, because a pickle could set attributes that hide `items`."""

    __slots__ = ()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*(argument for argument in arguments if isinstance(argument, (list, dict))))

    def __setstate__(self, state: Any) -> None:
        pass


class _Rebuilt(Shell):
    """torch._utils._rebuild_tensor and _v2."""

    __slots__ = ()

    def __new__(cls, storage: Any, offset: Any, size: Any, stride: Any, *_rest: Any) -> Any:
        counts = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
        if not isinstance(storage, Storage) or any(type(count) is not int or count < 0 for count in counts):
            raise pickle.UnpicklingError("a tensor without storage, shape or strides")
        return StoredTensor(storage, offset, size, stride)


class _Parameter(Shell):
    """torch.nn.Parameter and its rebuilding functions: the tensor itself."""

    __slots__ = ()

    def __new__(cls, data: Any = None, *_rest: Any) -> Any:
        return data


SPECIAL: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("collections", "defaultdict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _Rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuilt,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _Parameter,
    ("torch.nn.parameter", "Parameter"): _Parameter,
    **{(module, "dict"): dict for module in ("builtins", "__builtin__")},
    **{(module, "set"): set for module in ("builtins", "__builtin__")},
    **{(module, name): StorageType(dtype) for module in ("torch", "torch.cuda") for name, dtype in DTYPES.items()},
}


class Names:
    """The names of one file.

    Attributes:
        element_bytes: bytes per number of each record that the file mentions.
    """

    def __init__(self) -> None:
        self._shells: dict[str, type[Shell]] = {}
        self.element_bytes: dict[str, int] = {}

    def find(self, module: str, name: str) -> Any:
        """Stand-in for a name.

        Raises:
            RefusedError: it is in no table.
        """
        if (module, name) in SPECIAL:
            return SPECIAL[module, name]
        full = f"{module}.{name}"
        if name not in SHELLS.get(module, "").split():
            raise RefusedError(f"{full} ({KNOWN_AS[module]}.{name})" if module in KNOWN_AS else full)
        if full not in self._shells:
            self._shells[full] = type(name, (Shell,), {"__slots__": (), "kind": full})
        return self._shells[full]

    def persistent(self, saved_id: Any) -> Any:
        """A storage; or a class, of which older files keep the source code too, which is not looked at."""
        kind, *rest = saved_id
        if kind == "module":
            return rest[0]
        storage_type, key, _location, length, *view = rest
        if kind != "storage" or not isinstance(storage_type, StorageType) or not isinstance(key, str):
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        self.element_bytes[key] = storage_type.dtype.itemsize
        start = 0
        if view and view[0] is not None:
            _, start, length = view[0]
        return Storage(key, storage_type.dtype, start, length)
