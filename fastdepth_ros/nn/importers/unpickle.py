"""Files of `torch.save` read without running anything that they name: `inert` says what the names stand for.

Two formats: the zip of torch 1.6 and later, and the row of pickles with raw numbers after it that came before. One
reader takes whole modules and plain state dicts alike, and allows less than `torch.load(weights_only=True)` does.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.checkpoints import CheckpointError
from fastdepth_ros.nn.importers.pickle_stubs import Names, RefusedError, StoredTensor

LARGEST_FILE_BYTES = 2**30  # the paper's largest network, ResNet-50 with UpProj, and its optimizer's state
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
PICKLE, ZIP, TAR = b"\x80", b"PK\x03\x04", b"ustar"
DAMAGED = (
    pickle.UnpicklingError, zipfile.BadZipFile, struct.error, AttributeError, EOFError, LookupError, MemoryError,
    NotImplementedError, OverflowError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


class Saved:
    """Content of a file written by torch.save.

    Attributes:
        root: the object that was saved, of dicts, lists, texts, numbers, `Shell` and `StoredTensor`.
    """

    def __init__(self, path: Path, root: Any, records: Mapping[str, memoryview]) -> None:
        self.path, self.root, self._records = path, root, records

    def tensor(self, stored: StoredTensor) -> Tensor:
        """A copy on the CPU, wherever the tensor was saved.

        Raises:
            CheckpointError: the file holds fewer numbers than the tensor has.
        """
        try:
            return _filled(stored, self._records)
        except DAMAGED as error:
            raise CheckpointError(f"{self.path} is damaged, a tensor of shape {stored.size}: {error}") from error


def read_saved(path: Path) -> Saved:
    """Read a file of `torch.save`, whatever its suffix.

    Raises:
        CheckpointError: no such file, another format, damaged, or a name in it that no FastDepth checkpoint needs.
    """
    content = _content(path)
    try:
        root, records = _read_zip(content) if content.startswith(ZIP) else _read_legacy(content)
    except RefusedError as refused:
        raise CheckpointError(
            f"{path} is refused: it asks for {refused}, which no FastDepth checkpoint needs; nothing in it was run"
        ) from refused
    except DAMAGED as error:
        raise CheckpointError(f"{path} is damaged or no file of torch.save: {error}") from error
    return Saved(path, root, records)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        raise CheckpointError(f"{path} has {size} bytes, a FastDepth checkpoint at most {LARGEST_FILE_BYTES}")
    content = path.read_bytes()
    if not content:
        raise CheckpointError(f"{path} is empty")
    if content[257:262] == TAR:
        raise CheckpointError(f"{path} is a tar archive, which no checkpoint is, though .pth.tar is a usual suffix")
    if not content.startswith((ZIP, PICKLE)):
        what = "a web page" if content.lstrip().startswith(b"<") else "no checkpoint"
        raise CheckpointError(f"{path} is {what}: it begins with {content[:16]!r}")
    return content


def _read_zip(content: bytes) -> tuple[Any, dict[str, memoryview]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise FastDepthError("it is compressed, which torch does not do")
        if sum(entry.file_size for entry in entries) > len(content):
            raise FastDepthError("its parts claim more bytes than the file has")
        parts = {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
    if "constants.pkl" in parts:
        raise FastDepthError("it is TorchScript, a program; save the module or its state_dict instead")
    if "data.pkl" not in parts:
        raise FastDepthError("the zip archive has no data.pkl")
    if parts.get("byteorder", b"little") != b"little":
        raise FastDepthError("its numbers are big-endian")
    root = _unpickle(io.BytesIO(parts["data.pkl"]), Names())
    prefix = "data/"
    return root, {name[len(prefix) :]: memoryview(part) for name, part in parts.items() if name.startswith(prefix)}


def _read_legacy(content: bytes) -> tuple[Any, dict[str, memoryview]]:
    """Magic number, version, facts of the machine, the object, the keys of its storages; then the storages."""
    stream, names = io.BytesIO(content), Names()
    if _unpickle(stream, names) != LEGACY_MAGIC:
        raise FastDepthError("it is a pickle, but not one of torch.save")
    _, machine, root, keys = (_unpickle(stream, names) for _ in range(4))
    if machine["little_endian"] is not True:
        raise FastDepthError("its numbers are big-endian")
    records, at, view = {}, stream.tell(), memoryview(content)
    for key in keys:
        (count,) = struct.unpack_from("<q", content, at)
        end = at + 8 + count * names.element_bytes[key]
        if count < 0 or end > len(content):
            raise EOFError(f"storage {key!r} has {count} numbers, but the file ends before")
        records[key], at = view[at + 8 : end], end
    return root, records


def _unpickle(stream: io.BytesIO, names: Names) -> Any:
    """The next pickle of the stream."""
    start = stream.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        # the unpickler makes room for as many objects as the largest index says
        if "PUT" in opcode.name and (argument is None or argument > count):
            raise FastDepthError(f"object {argument} after {count} steps")
    stream.seek(start)
    return _Unpickler(stream, names).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, names: Names) -> None:
        super().__init__(stream, encoding="latin1")  # of Python 2's texts, which may hold any byte
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        return self._names.find(module, name)

    def persistent_load(self, saved_id: Any) -> Any:
        return self._names.persistent(saved_id)


def _filled(stored: StoredTensor, records: Mapping[str, memoryview]) -> Tensor:
    key, dtype, start, length = stored.storage
    numbers = math.prod(stored.size)
    if numbers > length:  # a stride of 0 would make any size out of one number
        raise FastDepthError(f"it has {numbers} numbers, its storage {length}")
    if numbers == 0:
        return torch.empty(stored.size, dtype=dtype)
    row = records[key][start * dtype.itemsize : (start + length) * dtype.itemsize]
    flat = torch.frombuffer(bytearray(row), dtype=dtype)
    return torch.as_strided(flat, stored.size, stored.stride, stored.offset).clone().contiguous()
