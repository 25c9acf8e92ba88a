"""Meters on trees as Jetsons and PCs have them in sysfs, and a tegrastats that prints what the real one prints."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fastdepth_ros.bench.energy import find_ina3221, find_meters, find_rapl, find_tegrastats, power_mode, rails_of

ORIN = "RAM 2448/7620MB CPU [1%@729,0%@729] VDD_IN 4532mW/4498mW VDD_CPU_GPU_CV 523mW/510mW VDD_SOC 1402mW/1398mW"
TX2 = "RAM 1100/7852MB POM_5V_GPU 229/229 POM_5V_IN 1832/1640 POM_5V_CPU 305/298"


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return path


def test_rapl_counts_and_wraps(tmp_path):
    zones = tmp_path / "sys/class/powercap"
    for zone, name, energy in (
        ("intel-rapl:0", "package-0", 900),
        ("intel-rapl:0:0", "core", 5),
        ("intel-rapl:0:1", "dram", 40),
    ):
        write(zones / zone / "name", name)
        write(zones / zone / "energy_uj", energy * 1_000_000)
        write(zones / zone / "max_energy_range_uj", 1000 * 1_000_000)
    with find_rapl(tmp_path) as meter:
        write(zones / "intel-rapl:0/energy_uj", 950_000_000)
        assert meter.total_j() == pytest.approx(50)
        write(zones / "intel-rapl:0/energy_uj", 20_000_000)  # 1000 and on
        write(zones / "intel-rapl:0:1/energy_uj", 43_000_000)
        assert meter.total_j() == pytest.approx(50 + 70 + 3)  # the core is part of its package


def test_rapl_that_only_root_may_read_is_no_meter(tmp_path):
    write(tmp_path / "sys/class/powercap/intel-rapl:0/name", "package-0")
    assert find_rapl(tmp_path) is None


def test_ina3221_of_new_jetsons_multiplies_volts_and_amperes(tmp_path):
    chip = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    for number, (rail, millivolts, milliamperes) in enumerate(
        (("VDD_IN", 5000, 1000), ("VDD_CPU_GPU_CV", 5000, 200)), 1
    ):
        write(chip / f"in{number}_label", rail)
        write(chip / f"in{number}_input", millivolts)
        write(chip / f"curr{number}_input", milliamperes)
    write(chip / "in4_label", "NC")
    write(chip / "curr4_input", 9)
    with find_ina3221(tmp_path) as meter:
        started = time.monotonic()
        before = dict(meter.joules())
        time.sleep(0.2)
        after, elapsed_s = meter.joules(), time.monotonic() - started
    assert set(after) == {"VDD_IN", "VDD_CPU_GPU_CV"}
    assert after["VDD_IN"] - before["VDD_IN"] == pytest.approx(5.0 * elapsed_s, rel=0.2)
    assert after["VDD_IN"] == pytest.approx(5 * after["VDD_CPU_GPU_CV"])
    assert meter.total_j() == pytest.approx(meter.joules()["VDD_IN"], rel=0.1)  # it holds the others


def test_ina3221_of_old_jetsons_tells_milliwatts(tmp_path):
    chip = tmp_path / "sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1"
    for number, (rail, milliwatts) in enumerate((("VDD_SYS_GPU", 2000), ("VDD_SYS_CPU", 1000))):
        write(chip / f"rail_name_{number}", rail)
        write(chip / f"in_power{number}_input", milliwatts)
    with find_ina3221(tmp_path) as meter:
        time.sleep(0.12)
        joules = meter.joules()
    assert joules["VDD_SYS_GPU"] == pytest.approx(2 * joules["VDD_SYS_CPU"])
    assert joules["VDD_SYS_CPU"] > 0.1
    assert meter.total_j() == pytest.approx(sum(meter.joules().values()), rel=0.1)


@pytest.mark.parametrize(("line", "rails"), [
    (ORIN, {"VDD_IN": 4.532, "VDD_CPU_GPU_CV": 0.523, "VDD_SOC": 1.402}),
    (TX2, {"POM_5V_GPU": 0.229, "POM_5V_IN": 1.832, "POM_5V_CPU": 0.305}),
    ("RAM 1100/7852MB SWAP 0/3810MB", {}),
])  # fmt: skip
def test_a_line_of_tegrastats_is_read(line, rails):
    assert rails_of(line) == rails


def executable(path: Path, text: str) -> None:
    write(path, f"#!/bin/sh\n{text}").chmod(0o755)


def test_tegrastats_runs_while_it_is_read_and_ends_with_the_meter(tmp_path, monkeypatch):
    executable(tmp_path / "tegrastats", f"while true; do echo '{ORIN}'; sleep 0.05; done")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with find_tegrastats(Path("/")) as meter:
        deadline = time.monotonic() + 10
        while not meter.joules().get("VDD_IN") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert meter.joules()["VDD_IN"] > 0
    assert meter._process.poll() is not None


def test_the_power_mode_is_what_nvpmodel_says(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power_mode() == ""
    executable(tmp_path / "nvpmodel", "echo 'NV Power Mode: MAXN'; echo 0")
    assert power_mode() == "MAXN"


def test_a_machine_without_meters_has_none(tmp_path):
    assert find_meters(tmp_path) == []
