"""Latencies that can be compared: the runners take turns, so that what the machine does else falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

WARM_UP = 3
PAUSE_S = 0.1  # an engine's threads spin for a while after its last frame, on the cores of the next


@dataclass(frozen=True)
class Latency:
    """Of one runner, over all rounds.

    Args:
        median_ms, min_ms, p95_ms: of a single run.
        runs: how many.
    """

    median_ms: float
    min_ms: float
    p95_ms: float
    runs: int


def take_turns(
    runners: Mapping[str, Callable[[], object]],
    rounds: int,
    frames: int,
    after_turn: Callable[[], object] = lambda: None,
) -> dict[str, Latency]:
    """Time each runner.

    Args:
        runners: what to run, by name.
        rounds: turns that each of them gets.
        frames: timed runs in a turn, after three that are not.
        after_turn: called after each turn, for progress.
    """
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            time.sleep(PAUSE_S)
            for _ in range(WARM_UP):
                run()
            for _ in range(frames):
                started = time.perf_counter_ns()
                run()
                times[name].append((time.perf_counter_ns() - started) / 1e6)
            after_turn()
    return {name: _latency(values) for name, values in times.items()}


def _latency(times_ms: list[float]) -> Latency:
    median, p95 = np.percentile(times_ms, (50, 95))
    return Latency(float(median), float(min(times_ms)), float(p95), len(times_ms))
