"""The TVM backend: the same promises as the others, and refusals before foreign code is in the process."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.artifact.golden import golden_frame
from fastdepth_ros.backends import BackendError, BackendOptions, backend_class
from fastdepth_ros.backends.native import HEADER, check_library, host_features, library_machine
from fastdepth_ros.errors import FastDepthError

pytest.importorskip("tvm", reason="tvm is not installed")

SIZE_PX = 224
NOISE = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
E_MACHINE = 18  # its offset in an ELF header


@pytest.fixture
def copy(compiled_folder, tmp_path) -> Path:
    """The compiled artifact, to be spoilt."""
    return shutil.copytree(compiled_folder, tmp_path / "copy")


def change_manifest(folder: Path, **facts: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for key, value in facts.items():
        if value is None:
            del manifest["files"]["tvm"][key]
        else:
            manifest["files"]["tvm"][key] = value
    path.write_text(json.dumps(manifest))


def change_library(folder: Path, content: bytes) -> None:
    """Another library, of which the manifest knows."""
    (folder / "model.so").write_bytes(content)
    change_manifest(folder, sha256=hashlib.sha256(content).hexdigest())


def refusal(folder: Path, options: BackendOptions | None = None) -> str:
    """Reason why the backend does not load, once the library is known to be absent from this process."""
    with pytest.raises(BackendError) as refused:
        find_artifact(folder).load("tvm", options)
    assert str(folder) not in Path("/proc/self/maps").read_text()
    return str(refused.value)


def test_it_computes_what_onnx_runtime_computes(artifact_folder, compiled_folder):
    reference, engine = find_artifact(artifact_folder).load(), find_artifact(compiled_folder).load("tvm")
    for rgb in (NOISE, golden_frame(SIZE_PX), np.zeros_like(NOISE), np.full_like(NOISE, 255)):
        depth = engine.infer(rgb).depth
        assert (depth.shape, depth.dtype) == ((SIZE_PX, SIZE_PX), np.float32)
        np.testing.assert_allclose(depth, reference.infer(rgb).depth, atol=1e-4)
    assert reference.infer(NOISE).depth.std() > 0.01


def test_depth_belongs_to_the_caller(compiled_folder):
    engine = find_artifact(compiled_folder).load("tvm")
    first = engine.infer(NOISE).depth
    kept = first.copy()
    assert (engine.infer(golden_frame(SIZE_PX)).depth != kept).any()
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_any_thread_may_call_with_any_number_of_threads(compiled_folder, threads):
    engine = find_artifact(compiled_folder).load("tvm", BackendOptions(threads=threads))
    here, there = engine.infer(NOISE).depth, []
    worker = threading.Thread(target=lambda: there.append(engine.infer(NOISE).depth))
    worker.start()
    worker.join()
    np.testing.assert_array_equal(here, there[0])


def test_the_engine_says_its_version_and_device(compiled_folder):
    engine = find_artifact(compiled_folder).load("tvm").engine
    assert re.fullmatch(r"tvm \d+\.\d+\S* \(cpu\)", engine)


def test_a_module_for_another_architecture_is_refused(copy):
    content = bytearray((copy / "model.so").read_bytes())
    content[E_MACHINE : E_MACHINE + 2] = (183 if library_machine(copy / "model.so") == "x86_64" else 62).to_bytes(
        2, "little"
    )
    change_library(copy, bytes(content))
    assert re.search(r"model.so is code for (aarch64|x86_64), this machine is .*compile", refusal(copy))


def test_a_module_for_a_processor_that_has_more_is_refused(copy):
    change_manifest(copy, cpu_features=["avx512_of_2040", *sorted(host_features())[:1]])
    assert "uses avx512_of_2040, which this processor lacks" in refusal(copy)


@pytest.mark.parametrize(("package", "key"), [("apache-tvm", "tvm"), ("apache-tvm-ffi", "tvm_ffi")])
def test_a_module_of_another_tvm_is_refused_with_the_one_to_install(copy, package, key):
    change_manifest(copy, **{key: "0.1.2"})
    assert f"pip install {package}==0.1.2" in refusal(copy)


@pytest.mark.parametrize("left", [0, 10, 63, 64, 5000, -1])
def test_a_truncated_module_is_refused(copy, left):
    content = (copy / "model.so").read_bytes()[:left]
    (copy / "model.so").write_bytes(content)
    with pytest.raises(FastDepthError, match="sha256"):
        find_artifact(copy).load("tvm")
    change_library(copy, content)  # even where the manifest was written after it was cut
    assert re.search("is cut short|is no shared library", refusal(copy))


def test_a_file_that_is_no_library_is_refused(copy):
    change_library(copy, b"#!/bin/sh\n" + bytes(100))
    assert "is no shared library" in refusal(copy)


def test_a_library_without_a_network_is_refused(copy, tmp_path):
    source = tmp_path / "empty.c"
    source.write_text("int nothing;")
    subprocess.run(["g++", "-shared", "-o", tmp_path / "empty.so", source], check=True)
    change_library(copy, (tmp_path / "empty.so").read_bytes())
    with pytest.raises(BackendError, match="tvm cannot load .*model.so"):
        find_artifact(copy).load("tvm")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_device_that_the_module_was_not_compiled_for_is_refused(copy, device):
    assert f"is compiled for device 'cpu', not '{device}'" in refusal(copy, BackendOptions(device=device))


def test_a_channel_order_that_the_module_was_not_compiled_for_is_refused(copy):
    assert "is compiled for fp32 and rgb, not fp32 and bgr" in refusal(copy, BackendOptions(channels="bgr"))


@pytest.mark.parametrize("key", ["tvm", "tvm_ffi", "device", "cpu_features"])
def test_a_manifest_that_does_not_say_what_the_module_is_for_is_refused(copy, key):
    change_manifest(copy, **{key: None})
    assert f"does not say {key}; compile it again" in refusal(copy)


def test_a_module_that_computes_another_network_is_refused(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["golden"]["depth_m"][3][3] += 0.01
    path.write_text(json.dumps(manifest))
    with pytest.raises(FastDepthError, match="does not compute this network"):
        find_artifact(copy).load("tvm")


def test_a_library_of_this_machine_is_recognized():
    library = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line)
    check_library(Path(library), ())
    assert HEADER.size == 64
    assert backend_class("tvm").model_format == "tvm"
