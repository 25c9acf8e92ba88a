"""Turns: everyone gets as many, in turn, and what is counted is what ran."""

from __future__ import annotations

import time

import pytest

from fastdepth_ros.bench import timing
from fastdepth_ros.bench.timing import WARM_UP, take_turns


def test_runners_take_turns_and_warm_up(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE_S", 0.0)
    ran, turns = [], []
    found = take_turns({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 2, 4, lambda: turns.append(1))
    assert "".join(ran) == ("a" * (WARM_UP + 4) + "b" * (WARM_UP + 4)) * 2
    assert len(turns) == 4
    assert {name: latency.runs for name, latency in found.items()} == {"a": 8, "b": 8}


def test_a_latency_is_in_milliseconds_and_a_median(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE_S", 0.0)
    clock = iter([0, 5_000_000, 10_000_000, 11_000_000, 20_000_000, 22_000_000])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(clock))
    (latency,) = take_turns({"a": lambda: None}, 1, 3).values()
    assert (latency.median_ms, latency.min_ms) == (2.0, 1.0)
    assert latency.p95_ms == pytest.approx(4.7)
