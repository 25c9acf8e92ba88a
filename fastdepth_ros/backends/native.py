"""Checks of a native library before it is loaded: complete, and compiled for this processor.

A wrong library does not raise when it is loaded, it ends the process.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable
from pathlib import Path

from fastdepth_ros.backends.base import BackendError

MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of ELF
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # of a 64-bit little-endian file
SECTION_TABLE, SECTION_SIZE, SECTION_COUNT, MACHINE = 6, 11, 12, 2


def check_library(path: Path, cpu_features: Iterable[str]) -> None:
    """Refuse a library that this process could not run.

    Args:
        path: a shared library of Linux.
        cpu_features: features that its code uses, as in /proc/cpuinfo.

    Raises:
        BackendError: no such library, cut short, for another architecture, or for a processor that has more.
    """
    machine = library_machine(path)
    if machine != platform.machine():
        raise BackendError(
            f"{path} is code for {machine}, this machine is {platform.machine()}; compile it for this one"
        )
    missing = sorted(set(cpu_features) - host_features())
    if missing:
        raise BackendError(f"{path} uses {', '.join(missing)}, which this processor lacks; compile it for this one")


def library_machine(path: Path) -> str:
    """The architecture that a shared library is for, as `platform.machine` says it.

    Raises:
        BackendError: no shared library, or one that is cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size or head[:6] != b"\x7fELF\x02\x01":
        raise BackendError(f"{path} is no shared library ({size} bytes)")
    header = HEADER.unpack(head)
    end = header[SECTION_TABLE] + header[SECTION_SIZE] * header[SECTION_COUNT]  # linkers write it last
    if size < end:
        raise BackendError(f"{path} is cut short: {size} bytes of {end}; fetch or compile it again")
    return MACHINES.get(header[MACHINE], f"ELF machine {header[MACHINE]}")


def host_features() -> frozenset[str]:
    """Features of this processor, as /proc/cpuinfo names them."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, Arm
            return frozenset(values.split())
    return frozenset()


def processor_name() -> str:
    """The processor's name, or the board's, as the system gives it."""
    for line in system_text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return system_text("/proc/device-tree/model").strip("\0") or platform.processor() or platform.machine()


def system_text(path: str | Path) -> str:
    """Content of a file of /proc or /sys, "" where it cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
