"""Functions missing from the GPU code of TVM 0.27, written so that the driver of CUDA 10.2 reads them too.

TVM calls the multiply-add of CUDA's device library, which is not ours to ship: one of a line takes its place. And it
marks kernels by metadata that its own LLVM no longer reads, so they come out as functions that nothing can launch.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tvm_ffi

DEVICE_LIBRARY = """target triple = "nvptx64-nvidia-cuda"
declare float @llvm.fma.f32(float, float, float)
define float @__nv_fmaf(float %a, float %b, float %c) alwaysinline nounwind {
  %sum = call float @llvm.fma.f32(float %a, float %b, float %c)
  ret float %sum
}
"""
FUNCTION = re.compile(rb"\.func (\w+_kernel)\(\n\t")
ENTRY = rb".entry \1(\n"  # as long as what it replaces, so that nothing in the library moves


@contextmanager
def device_library() -> Iterator[None]:
    """Device library for TVM while it compiles for a GPU."""
    with tempfile.NamedTemporaryFile("w", suffix=".ll") as file:
        file.write(DEVICE_LIBRARY)
        file.flush()
        tvm_ffi.register_global_func("tvm_callback_libdevice_path", lambda architecture: file.name, override=True)
        yield


def make_entries(library: Path) -> int:
    """Turn the functions of a library's PTX into kernels; how many there were."""
    content, count = FUNCTION.subn(ENTRY, library.read_bytes())
    library.write_bytes(content)
    return count
