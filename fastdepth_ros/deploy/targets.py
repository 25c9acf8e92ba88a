"""Targets of TVM: names of common robot computers, or a JSON file with TVM's target keys."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvm import get_global_func
from tvm.target import Target
from tvm.target.codegen import llvm_get_cpu_features

from fastdepth_ros.backends.native import host_features
from fastdepth_ros.deploy.module import Hardware
from fastdepth_ros.errors import FastDepthError

A57 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a57", "mattr": ["+neon"], "num-cores": 4}
NAMED: dict[str, dict[str, Any]] = {
    **{
        name: {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": name}
        for name in ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4")
    },
    "aarch64": {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "generic", "mattr": ["+neon"]},
    "tx2-cpu": A57,
    "tx2-gpu": {"kind": "nvptx", "mcpu": "sm_62", "host": A57},
    "cuda": {"kind": "nvptx", "mcpu": "sm_70"},  # any later GPU's driver reads this code
}
HOST = "host"
CPUINFO = {  # LLVM's name of a feature that float code uses -> the kernel's
    "sse4.1": "sse4_1", "sse4.2": "sse4_2", "avx": "avx", "avx2": "avx2", "fma": "fma", "f16c": "f16c",
    "bmi": "bmi1", "bmi2": "bmi2", "lzcnt": "abm", "movbe": "movbe", "avx512f": "avx512f", "avx512bw": "avx512bw",
    "avx512cd": "avx512cd", "avx512dq": "avx512dq", "avx512vl": "avx512vl", "avx512vnni": "avx512_vnni",
    "fullfp16": "asimdhp", "dotprod": "asimddp", "sve": "sve", "sve2": "sve2", "lse": "atomics",
}  # fmt: skip


@dataclass(frozen=True)
class BuildTarget:
    """A machine to build for.

    Args:
        name: NAMED's, or the stem of the JSON file.
        words: TVM's own description, its host included.
        hardware: properties that the kernels depend on.
        device: "cpu" or "cuda", as a backend calls it.
        machine: architecture of the library, as `platform.machine` says it.
        cpu_features: processor features that its code uses, as /proc/cpuinfo names them.
    """

    name: str
    words: Mapping[str, Any]
    hardware: Hardware
    device: str
    machine: str
    cpu_features: tuple[str, ...]

    @property
    def runs_here(self) -> bool:
        return self.device == "cpu" and self.machine == platform.machine() and set(self.cpu_features) <= host_features()

    def target(self) -> Target:
        return Target(dict(self.words))

    def linker(self) -> str:
        """The compiler that links the library.

        Raises:
            FastDepthError: it is not installed.
        """
        here = self.machine == platform.machine()
        program = "g++" if here else f"{self.machine}-linux-gnu-g++"
        found = shutil.which(program)
        if found is None:
            package = "g++" if here else f"g++-{self.machine.replace('_', '-')}-linux-gnu"
            raise FastDepthError(f"{program} links code for {self.name}: apt install {package}")
        return found


def find_target(text: str) -> BuildTarget:
    """A target by name, this machine for "host", or from a JSON file.

    Raises:
        FastDepthError: neither a name nor a file, or a file that TVM does not understand; lists the names.
    """
    name = _host_name() if text == HOST else text
    if name in NAMED:
        return _described(name, NAMED[name])
    path = Path(text)
    if not path.is_file():
        raise FastDepthError(f"no target {text!r}: there is {HOST}, {', '.join(NAMED)}, and no such file")
    try:
        return _described(path.stem, json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FastDepthError(f"{path} is no target of TVM, a JSON object such as {json.dumps(A57)}: {error}") from error


def _host_name() -> str:
    if platform.machine() == "aarch64":
        return "aarch64"
    levels = [name for name in NAMED if name.startswith("x86-64")]
    return next(name for name in reversed(levels) if _described(name, NAMED[name]).runs_here)


def _described(name: str, words: Mapping[str, Any]) -> BuildTarget:
    if words["kind"] not in ("llvm", "nvptx"):
        raise FastDepthError(f"its kind is {words['kind']!r}; llvm and nvptx can be built")
    on_gpu = words["kind"] == "nvptx"
    if on_gpu and "host" not in words:
        words = {**words, "host": NAMED[_host_name()]}
    host = words["host"] if on_gpu else words
    triple = host.get("mtriple") or get_global_func("target.llvm_get_system_triple")()
    machine = triple.partition("-")[0]
    with Target(dict(host)) as target:
        features = {CPUINFO[feature] for feature in llvm_get_cpu_features(target) if feature in CPUINFO}
    hardware = Hardware(lanes=1, registers=0) if on_gpu else _hardware(machine, features)
    return BuildTarget(name, words, hardware, "cuda" if on_gpu else "cpu", machine, tuple(sorted(features)))


def _hardware(machine: str, features: set[str]) -> Hardware:
    if machine != "x86_64":
        return Hardware(lanes=4, registers=32)
    if "avx512f" in features:
        return Hardware(lanes=16, registers=32)
    return Hardware(lanes=8 if "avx" in features else 4, registers=16)
