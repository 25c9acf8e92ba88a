"""OpenVINO: one core for a process's life, and in what it computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

from fastdepth_ros.backends import BackendError, BackendOptions, ModelFile, backend_class
from fastdepth_ros.backends import openvino as backend

ROOT = Path(__file__).resolve().parents[2]
SIZE_PX, OPSET = 224, 17
# The load is this thread's, the end another's, as when a node swaps its backend; then children end.
SIGNALS = """
import ctypes, faulthandler, gc, signal, subprocess, sys, threading
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.backends import openvino as backend
from fastdepth_ros.artifact.artifact import find_artifact

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

def signal_stack():
    found = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found.start, found.size

faulthandler.enable()
signal.signal(signal.SIGCHLD, lambda *_: None)
before = signal_stack()
held = [find_artifact(sys.argv[1]).load("openvino", BackendOptions(threads=1))]
assert signal_stack() == before

def drop():
    held.clear()
    backend._core = None
    gc.collect()

thread = threading.Thread(target=drop)
thread.start()
thread.join()
assert signal_stack() == before
for _ in range(3):
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
"""


@pytest.fixture(autouse=True)
def installed() -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")


def test_a_signal_after_an_engine_has_gone_does_no_harm(artifact_folder):
    command = [sys.executable, "-c", SIGNALS, str(artifact_folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_a_process_has_one_core():
    assert backend.shared_core() is backend.shared_core()
    makers = [path for path in (ROOT / "fastdepth_ros").rglob("*.py") if "openvino.Core(" in path.read_text()]
    assert makers == [ROOT / "fastdepth_ros" / "backends" / "openvino.py"]


@pytest.mark.parametrize(
    ("precision", "capabilities", "kind", "computes"),
    [
        ("fp32", ("FP32", "INT8"), "f32", "fp32"),
        ("fp16", ("FP32", "FP16", "BF16"), "f16", "fp16"),
        ("fp16", ("FP32", "BF16", "INT8"), "f32", "fp16 file, f32 arithmetic"),
        ("bf16", ("FP32", "BF16"), "bf16", "bf16"),
        ("bf16", ("FP32", "INT8"), "bf16", "bf16 emulated"),
        ("int8", ("FP32", "INT8"), "f32", "int8"),
        ("int8", ("FP16", "INT8"), "f16", "int8"),
        ("int8", ("FP32", "FP16"), "f32", "int8 file, f32 arithmetic"),
    ],
)
def test_a_device_computes_in_what_it_can_and_says_so(precision, capabilities, kind, computes):
    assert backend.arithmetic(BackendOptions(precision=precision), capabilities) == (kind, computes)


def test_a_device_without_float32_refuses_an_fp32_file():
    with pytest.raises(BackendError, match="does not compute in fp32 on npu; choose precision fp16 or int8"):
        backend.arithmetic(BackendOptions(device="npu"), ("FP16", "INT8"))


def test_a_device_that_computes_otherwise_than_asked_is_refused(artifact_folder, monkeypatch):
    if "FP16" in backend.shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor computes in f16")
    monkeypatch.setattr(backend, "arithmetic", lambda *_: ("f16", "fp16"))
    model = ModelFile(artifact_folder / "model.onnx", (SIZE_PX, SIZE_PX), OPSET)
    with pytest.raises(BackendError, match=r"openvino computes in b?f\d+ on cpu, where f16 was asked for"):
        backend_class("openvino")(model, BackendOptions(threads=1, precision="fp16"))
