"""An artifact for the TVM backend: the network as a library for one kind of processor, proven where it can run.

The GPU code of TVM 0.27 lacks functions, which are written here so that the driver of CUDA 10.2 reads them too. TVM
calls the multiply-add of CUDA's device library, which is not ours to ship: one of a line takes its place. And it marks
kernels by metadata that its own LLVM no longer reads, so they come out as functions that nothing can launch.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi
from tvm import relax

from fastdepth_ros.artifact.artifact import Artifact, find_artifact, sha256_of
from fastdepth_ros.artifact.record import require_agreement, write_manifest
from fastdepth_ros.backends import BackendOptions, backend_class
from fastdepth_ros.backends.tvm import installed_versions
from fastdepth_ros.deploy.module import kernels, network_module
from fastdepth_ros.deploy.records import read_records, records_path
from fastdepth_ros.deploy.schedules import Tile
from fastdepth_ros.deploy.steps import Plan, read_plan
from fastdepth_ros.deploy.targets import BuildTarget
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder

LIBRARY = "model.so"
PIPELINE = relax.get_pipeline("default_build")  # the target's own would look for more to fuse


@dataclass(frozen=True)
class Compiled:
    """Result of a compilation.

    Args:
        untuned: kernels that run with a guessed tile.
        kernels: kernels of the network.
        off_m: largest difference to ONNX Runtime, meters; None where the code cannot run here.
    """

    untuned: int
    kernels: int
    off_m: float | None


def compile_artifact(source: Artifact, target: BuildTarget, out: Path, tuning: Path | None = None) -> Compiled:
    """Write `out`/model.so and manifest.json, all or nothing.

    Args:
        source: has model.onnx.
        out: a folder that does not exist yet.
        tuning: folder of records; without it those beside the source are taken, if there are any.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: the linker fails, or the code differs from ONNX Runtime by more than 1e-4 m.
        FastDepthError: as the message says.
    """
    with atomic_folder(out) as building:
        plan = read_plan(source.model_file("onnx").path)
        chosen = tuned_tiles(plan, target, source.folder, tuning)
        write_library(plan, target, chosen, building / LIBRARY)
        names = kernels(plan)
        facts = {"kernels": len(names), "tuned": len(chosen.keys() & names.keys())}
        write_manifest(building, _manifest(source, target, out.name, building, facts))
        off_m = _compare(source, find_artifact(building)) if target.runs_here else None
    return Compiled(facts["kernels"] - facts["tuned"], facts["kernels"], off_m)


def tuned_tiles(plan: Plan, target: BuildTarget, beside: Path, tuning: Path | None) -> dict[str, Tile]:
    """The best tile of each kernel that was tuned: in `tuning`, which must have records, or `beside` the model."""
    path = records_path(tuning or beside, target)
    if not path.is_file():
        if tuning is not None:
            raise FastDepthError(f"{tuning} has no records for {target.name} (no {path.name})")
        return {}
    return read_records(path, target, kernels(plan)).tiles()


def write_library(plan: Plan, target: BuildTarget, chosen: Mapping[str, Tile], path: Path) -> None:
    """Compile and link the network."""
    build(network_module(plan, target.hardware, chosen), target, path)


def build(module: tvm.IRModule, target: BuildTarget, path: Path) -> None:
    """Compile a module of scheduled kernels and link it.

    Raises:
        FastDepthError: TVM or the linker cannot.
    """
    linker = target.linker()
    try:
        with device_library() if target.device == "cuda" else nullcontext():
            tvm.compile(module, target.target(), relax_pipeline=PIPELINE).export_library(str(path), cc=linker)
    except RuntimeError as error:
        raise FastDepthError(f"TVM cannot compile for {target.name}: {error}") from error
    if target.device == "cuda" and not make_entries(path):
        raise FastDepthError(f"TVM made no kernel for {target.name}")


def _compare(source: Artifact, compiled: Artifact) -> float:
    options = BackendOptions(threads=1)
    reference = backend_class("onnxruntime")(source.model_file("onnx"), options)
    engine = compiled.load("tvm", options)
    return require_agreement(reference, engine, source.network, "TVM's code differs from ONNX Runtime")


def _manifest(
    source: Artifact, target: BuildTarget, name: str, folder: Path, tuning: Mapping[str, int]
) -> dict[str, Any]:
    entry = {
        "file": LIBRARY,
        "sha256": sha256_of(folder / LIBRARY),
        "target": target.name,
        "target_words": dict(target.words),
        "machine": target.machine,
        "cpu_features": list(target.cpu_features),
        "device": target.device,
        **installed_versions(),
        **tuning,
    }
    kept = {key: value for key, value in source.manifest.items() if key != "precisions"}
    outputs = {"depth": source.manifest["outputs"]["depth"]}  # no code is made of the confidence
    return {**kept, "name": name, "files": {"tvm": entry}, "outputs": outputs, "compiled_from": source.name}


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
