"""The machine that figures are of: its name, its peak of multiply-adds, its memory's bandwidth."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros.backends.native import host_features, processor_name, system_text
from fastdepth_ros.bench.subject import Loaded, Subject
from fastdepth_ros.jobs.cores import available_cores

TOLD_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm")
FMA_STEPS = 200_000  # half a millisecond, so that some run is not interrupted
ACCUMULATORS = 12  # 12 independent chains hide the latency of a multiply-add
FMA_SOURCE = """
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float vector __attribute__((vector_size(BYTES)));
/* Runs `steps` times twelve independent multiply-adds of whole registers; returns how many floats one holds. */
int multiply_add(long steps, float *out) {
    vector a = {0}, b = {0}, s[12];
    for (int i = 0; i < 12; i++) s[i] = (vector){0} + (float)i;
    a = a + 0.999f; b = b + 0.001f;
    for (long n = 0; n < steps; n++) {
        #pragma GCC unroll 12
        for (int i = 0; i < 12; i++) s[i] = s[i] * a + b;
    }
    vector sum = {0};
    for (int i = 0; i < 12; i++) sum += s[i];
    *out = sum[0];
    return BYTES / 4;
}
"""
PEAK_RUNS = 40
SGEMM_SIDE = 384
COPY_BYTES = 128 << 20  # of each thread: more than the caches hold


def describe() -> dict[str, Any]:
    """Facts about the machine for the report."""
    features = host_features()
    return {
        "processor": processor_name(),
        "cores": available_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "features": [name for name in TOLD_FEATURES if name in features],
        "governor": system_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def machine_subjects(threads: int) -> list[Subject]:
    """Subjects that measure peak and bandwidth of the machine; `machine_figures` reads them."""
    subjects = [
        Subject(f"machine/sgemm/{threads}", partial(load_sgemm, threads), threads, at_least=PEAK_RUNS),
        Subject(f"machine/copy/{threads}", partial(load_copy, threads), threads),
    ]
    if _compiler():
        fma = Subject(f"machine/fma/{threads}", partial(load_multiply_add, threads), threads, at_least=PEAK_RUNS)
        subjects.append(fma)
    return subjects


def machine_figures(threads: int, fastest_ms: dict[str, float]) -> dict[str, Any]:
    """Peak and bandwidth from each subject's fastest run, which other load disturbed least.

    Returns:
        threads, gflops by "fma" and "sgemm", peak_gflops (the larger), copy_gb_s (read and written).
    """
    gflops = {}
    if (name := f"machine/fma/{threads}") in fastest_ms:
        gflops["fma"] = 2 * FMA_STEPS * ACCUMULATORS * vector_floats() * threads / fastest_ms[name] / 1e6
    if (name := f"machine/sgemm/{threads}") in fastest_ms:
        gflops["sgemm"] = 2 * SGEMM_SIDE**3 / fastest_ms[name] / 1e6
    copied = fastest_ms.get(f"machine/copy/{threads}")
    return {
        "threads": threads,
        "gflops": gflops,
        "peak_gflops": max(gflops.values(), default=None),
        "copy_gb_s": 2 * COPY_BYTES * threads / copied / 1e6 if copied else None,
    }


def load_sgemm(threads: int) -> Loaded:
    """numpy's product of two large matrices; its BLAS takes the number of threads from the environment."""
    a = np.random.default_rng(0).random((SGEMM_SIDE, SGEMM_SIDE), dtype=np.float32)
    b, out = a.T.copy(), np.empty_like(a)
    return Loaded(partial(np.matmul, a, b, out=out), f"numpy {np.__version__}")


def load_copy(threads: int) -> Loaded:
    """A copy of large arrays, one a thread."""
    pairs = [(np.zeros(COPY_BYTES, np.uint8), np.ones(COPY_BYTES, np.uint8)) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)
    return Loaded(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)), f"numpy {np.__version__}")


def load_multiply_add(threads: int) -> Loaded:
    """A loop of multiply-adds on registers alone, compiled here."""
    library, pool = _library(), ThreadPoolExecutor(threads)

    def one(_: int) -> None:
        library.multiply_add(ctypes.c_long(FMA_STEPS), ctypes.byref(ctypes.c_float()))

    return Loaded(lambda: list(pool.map(one, range(threads))), "compiled loop")


def vector_floats() -> int:
    """Number of floats in a register of this processor, by the compiler."""
    return _library().multiply_add(ctypes.c_long(1), ctypes.byref(ctypes.c_float()))


def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(FMA_SOURCE)
        native = "-mcpu=native" if platform.machine() == "aarch64" else "-march=native"
        command = [
            _compiler(), "-O3", native, "-ffp-contract=fast", "-shared", "-fPIC", str(source), "-o", str(library),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        return ctypes.CDLL(str(library))


def _compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or ""
