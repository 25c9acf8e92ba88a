"""Subjects in processes of their own: what is timed is what ran, and what fails is told and stops nobody else."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import pytest
from loads import load_crash, load_failing, load_nothing, load_sleep, load_work

from fastdepth_ros.bench import harness
from fastdepth_ros.bench.harness import Measured, Worker, measure
from fastdepth_ros.bench.machine import machine_figures, machine_subjects, processor_name
from fastdepth_ros.bench.results import QUIET_CORES, read_results, results_of, write_results
from fastdepth_ros.bench.subject import Subject
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.processes import busy_process


def test_each_subject_gets_its_turns_and_its_processor_time():
    told: list[str] = []
    before = os.environ.get("OMP_NUM_THREADS")
    subjects = [
        Subject("sleep", partial(load_sleep, 0.01), 3),
        Subject("work", partial(load_work, 0.01)),
    ]
    found, failed = measure(subjects, 2, 3, progress=told.append)
    assert not failed and told == ["sleep", "work"] * 3
    assert found["sleep"].engine == "sleep 3"  # libraries are told how many threads they may have
    assert found["sleep"].latency.runs == 6 and len(found["sleep"].latency.rounds_ms) == 2
    assert 10 <= found["sleep"].latency.min_ms <= found["sleep"].latency.median_ms <= found["sleep"].latency.p99_ms
    assert found["work"].cpu_ms >= 10 > 5 > found["sleep"].cpu_ms
    assert found["work"].memory_mb > 5
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_what_fails_is_told_and_the_others_go_on():
    subjects = [
        Subject("nothing", load_nothing), Subject("crash", load_crash), Subject("failing", load_failing),
        Subject("sleep", partial(load_sleep, 0.001)),
    ]  # fmt: skip
    found, failed = measure(subjects, 2, 2)
    assert set(found) == {"sleep"} and found["sleep"].latency.runs == 4
    assert failed["nothing"] == "RuntimeError: no such network"
    assert failed["crash"] == "its process ended with code 7"
    assert "pop from empty list" in failed["failing"]


def test_a_slow_subject_gets_fewer_frames(monkeypatch):
    worker = Worker(Subject("sleep", partial(load_sleep, harness.TURN_S * 0.6)))
    try:
        assert len(worker.turn(10).times_ms) == 2
    finally:
        worker.close()


def test_the_machines_peak_is_what_a_loop_of_multiply_adds_and_a_copy_say():
    subjects = machine_subjects(1)
    found, failed = measure(subjects, 1, 3)
    assert not failed
    figures = machine_figures(1, {name: each.latency.min_ms for name, each in found.items()})
    assert figures["peak_gflops"] == max(figures["gflops"].values()) > 0.5
    assert figures["copy_gb_s"] > 0.1
    assert processor_name()


def test_a_round_tells_what_others_took():
    with busy_process():  # of somebody else
        found, _ = measure([Subject("sleep", partial(load_sleep, 0.3))], 1, 3)
    assert found["sleep"].others_cores[0] > QUIET_CORES


def results_with(*others_cores: float) -> dict:
    subject = Subject("one", partial(load_sleep, 0.001), 1, {"group": "engine"})
    measured = {"one": replace(_measured_once(subject), others_cores=list(others_cores))}
    return results_of([subject], measured, {}, {"rounds": len(others_cores)})


def _measured_once(subject: Subject) -> Measured:
    return measure([subject], 1, 2)[0]["one"]


def test_figures_of_an_unquiet_machine_are_not_to_be_trusted():
    assert not results_with(0.0, 0.9, 0.1, 0.0, 0.0, 0.0)["notes"]
    (note,) = results_with(0.0, 0.9, 0.1, 0.0, 0.0, 0.3)["notes"]
    assert note.startswith("do not trust these figures: 1 of 1 rows") and "up to 0.9 cores" in note


def test_results_are_read_as_they_were_written(tmp_path):
    subject = Subject("one", partial(load_sleep, 0.001), 1, {"group": "engine", "macs": 1_000_000})
    measured, failed = measure([subject], 1, 2)
    results = results_of([subject], measured, failed, {"rounds": 1})
    write_results(tmp_path / "r.json", results)
    (row,) = read_results(tmp_path / "r.json")["rows"]
    assert row["median_ms"] == measured["one"].latency.median_ms
    assert "floor_ms" not in row  # the peak was not measured


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 2, "rows": []}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(FastDepthError, match="r.json"):
        read_results(tmp_path / "r.json")
    with pytest.raises(FastDepthError, match="no file"):
        read_results(tmp_path / "none.json")
