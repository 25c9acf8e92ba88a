"""Processor cores: how many this process may use, and how many of them others take."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

IDLE_FIELDS = (3, 4)  # idle and iowait of a line of /proc/stat
FIELDS = 8  # user to steal; guests are part of user


def available_cores() -> int:
    """Number of physical cores that this process may use; two hardware threads of one core count once."""
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text() if siblings.is_file() else str(cpu))
    return len(cores)


def logical_cores() -> int:
    """Number of hardware threads that this process may use."""
    return len(os.sched_getaffinity(0))


class OtherLoad:
    """Number of cores that others take, on the processors that this process may use.

    What a hypervisor gives to other machines (steal) counts.

    Args:
        pids: further processes that are not "others", besides this one.
    """

    def __init__(self, pids: Sequence[int] = ()) -> None:
        self._pids = pids
        self._last = self._now()

    def cores(self) -> float:
        """Cores taken since the last call or the construction, 0.0 to the number of processors."""
        before, self._last = self._last, self._now()
        busy_s, own_s, wall_s = (after - earlier for after, earlier in zip(self._last, before))
        return max(0.0, busy_s - own_s) / wall_s if wall_s > 0 else 0.0

    def _now(self) -> tuple[float, float, float]:
        own = time.process_time() + sum(process_cpu_s(pid) for pid in self._pids)
        return _busy_s(), own, time.monotonic()


def process_cpu_s(pid: int) -> float:
    """Processor time of a process, in seconds; 0.0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _busy_s() -> float:
    """Time that the processors of this process have been busy, summed, in seconds."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name in ours:
            ticks += sum(int(value) for place, value in enumerate(values[:FIELDS]) if place not in IDLE_FIELDS)
    return ticks / os.sysconf("SC_CLK_TCK")
