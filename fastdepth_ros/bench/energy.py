"""Energy meters of the machine: one small reader per kind of meter.

A reader finds its meter under the root of a file system and gives joules since it was opened, by rail.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from fastdepth_ros.backends.native import system_text
from fastdepth_ros.registry import Registry

SAMPLE_S = 0.05
WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "SYS_5V0", "total")  # rails that hold all others, as Jetsons name them
Joules = Mapping[str, float]
METERS = Registry[Callable[[Path], "Meter | None"]]("energy meter")  # functions that look for one under a root


class Meter(AbstractContextManager["Meter"]):
    """A meter in use.

    Args:
        name: kind of meter.
        what: quantity that it measures, for the report.
    """

    def __init__(self, name: str, what: str) -> None:
        self.name, self.what = name, what

    def joules(self) -> Joules:
        """Joules by rail, since the meter was opened."""
        raise NotImplementedError

    def total_j(self) -> float:
        """Joules of the rail that includes all others, if there is one, else of all rails together."""
        joules = self.joules()
        whole = next((joules[rail] for rail in WHOLE_BOARD if rail in joules), None)
        return sum(joules.values()) if whole is None else whole

    def __exit__(self, *error: object) -> None:
        """Nothing is held open."""


def find_meters(root: Path = Path("/")) -> list[Meter]:
    """Meters that are present and that this user may read."""
    return [meter for name in METERS if (meter := METERS[name](root)) is not None]


def power_mode(root: Path = Path("/")) -> str:
    """Power mode of a Jetson, as nvpmodel names it: MAXN, MAXQ, 15W; "" if there is none."""
    if root != Path("/") or not shutil.which("nvpmodel"):
        return ""
    try:
        told = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"Power Mode:\s*(\S+)", told)
    return found[1] if found else ""


class Counter(Meter):
    """A meter that counts joules by itself."""

    def __init__(self, name: str, what: str, read: Callable[[], Joules], wraps_j: Joules | None = None) -> None:
        super().__init__(name, what)
        self._read, self._wraps_j = read, wraps_j or {}
        self._last, self._sums = dict(read()), dict.fromkeys(read(), 0.0)

    def joules(self) -> Joules:
        now = self._read()
        for rail, value in now.items():
            self._sums[rail] += value - self._last[rail]
            if value < self._last[rail]:  # it began anew
                self._sums[rail] += self._wraps_j.get(rail, 0.0)
        self._last = dict(now)
        return dict(self._sums)


class Sampler(Meter):
    """Meter that reads watts: a thread samples them and adds them up."""

    def __init__(self, name: str, what: str, read_w: Callable[[], Mapping[str, float]]) -> None:
        super().__init__(name, what)
        self._read_w = read_w
        self._sums: dict[str, float] = {}
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def joules(self) -> Joules:
        self._sample()
        with self._lock:
            return dict(self._sums)

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        with self._lock:
            watts, now = self._read_w(), time.monotonic()
            for rail, watt in watts.items():
                self._sums[rail] = self._sums.get(rail, 0.0) + watt * (now - self._last)
            self._last = now


@METERS.register("rapl")
def find_rapl(root: Path) -> Meter | None:
    """RAPL of Intel and AMD in powercap: packages and their memory."""
    zones = {}
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        name = system_text(zone / "name")
        if name.startswith("package") or name == "dram":
            zones[f"{name} {zone.name.partition(':')[2]}"] = zone
    readable = {rail: zone for rail, zone in zones.items() if system_text(zone / "energy_uj")}  # often root's alone
    if not readable:
        return None
    wraps_j = {rail: int(system_text(zone / "max_energy_range_uj") or 0) / 1e6 for rail, zone in readable.items()}

    def read() -> Joules:
        return {rail: int(system_text(zone / "energy_uj")) / 1e6 for rail, zone in readable.items()}

    return Counter("rapl", "processor and memory, by RAPL", read, wraps_j)


@METERS.register("ina3221")
def find_ina3221(root: Path) -> Meter | None:
    """The INA3221 of a Jetson in sysfs: as hwmon from JetPack 5 on, as an IIO device before that."""
    drivers = root / "sys/bus/i2c/drivers"
    rails: dict[str, tuple[Path, ...]] = {}
    for label in sorted(drivers.glob("ina3221/*/hwmon/hwmon*/in*_label")):
        number = label.name.removeprefix("in").removesuffix("_label")
        current = label.with_name(f"curr{number}_input")
        if current.exists() and system_text(label) not in ("", "NC"):
            rails[system_text(label)] = (label.with_name(f"in{number}_input"), current)
    for label in sorted(drivers.glob("ina3221x/*/iio:device*/rail_name_*")):
        rails[system_text(label)] = (label.with_name(f"in_power{label.name.removeprefix('rail_name_')}_input"),)
    if not rails:
        return None

    def read_w() -> Mapping[str, float]:
        return {rail: _watts([int(system_text(path) or 0) for path in paths]) for rail, paths in rails.items()}

    return Sampler("ina3221", "the board's rails, by INA3221", read_w)


def _watts(values: list[int]) -> float:
    """Watts from one reading in mW, or from mV and mA."""
    return values[0] / 1e3 if len(values) == 1 else values[0] * values[1] / 1e6


@METERS.register("tegrastats")
def find_tegrastats(root: Path) -> Meter | None:
    """The program of a Jetson, where its sysfs is not open to this user."""
    if root != Path("/") or not shutil.which("tegrastats") or any((root / "sys/bus/i2c/drivers").glob("ina3221*/*")):
        return None
    return Tegrastats()


class Tegrastats(Sampler):
    """Reads what `tegrastats` prints: `VDD_IN 4532mW/4532mW` or `POM_5V_IN 1832/1832`."""

    def __init__(self) -> None:
        command = ["tegrastats", "--interval", "100"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._watts: Mapping[str, float] = {}
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        super().__init__("tegrastats", "the board's rails, by tegrastats", lambda: self._watts)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._watts = rails_of(line)


def rails_of(line: str) -> dict[str, float]:
    """Watts by rail, of a line of tegrastats.

    >>> rails_of("RAM 2/8 VDD_IN 4532mW/4532mW POM_5V_IN 1832/1832")
    {'VDD_IN': 4.532, 'POM_5V_IN': 1.832}
    """
    found = re.findall(r"\b((?:VDD|POM|SYS|VIN|CPU|GPU|SOC|CV)_?\w*) (\d+)(?:mW)?/\d+(?:mW)?", line)
    return {rail: int(milliwatts) / 1e3 for rail, milliwatts in found}


@METERS.register("nvml")
def find_nvml(root: Path) -> Meter | None:
    """A GPU of NVIDIA, the first one."""
    if root != Path("/") or find_spec("pynvml") is None:
        return None
    import pynvml

    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        name = _name(pynvml.nvmlDeviceGetName(gpu))
        with suppress(pynvml.NVMLError):  # from Volta on
            pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
            return Counter("nvml", name, lambda: {"gpu": pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3})
        pynvml.nvmlDeviceGetPowerUsage(gpu)
        return Sampler("nvml", name, lambda: {"gpu": pynvml.nvmlDeviceGetPowerUsage(gpu) / 1e3})
    return None


def _name(told: Any) -> str:
    return told.decode() if isinstance(told, bytes) else told
