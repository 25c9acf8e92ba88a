"""Latencies that can be compared: the runners take turns, so that what the machine does else falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 3
PAUSE_S = 0.1  # an engine's threads spin for a while after its last frame, on the cores of the next


@dataclass(frozen=True)
class Latency:
    """Times of one runner, over all rounds.

    Args:
        median_ms, min_ms, p95_ms, p99_ms: times of a single run.
        runs: number of runs.
        rounds_ms: median of each round; how far they lie apart is the noise.
    """

    median_ms: float
    min_ms: float
    p95_ms: float
    p99_ms: float
    runs: int
    rounds_ms: tuple[float, ...]


def take_turns(
    runners: Mapping[str, Callable[[], object]], rounds: int, frames: int,
    after_turn: Callable[[], object] = lambda: None,
) -> dict[str, Latency]:  # fmt: skip
    """Time each runner.

    Args:
        runners: functions to time, by name.
        rounds: turns that each of them gets.
        frames: timed runs in a turn, after three that are not.
        after_turn: function called after each turn, for progress.
    """
    times: dict[str, list[list[float]]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            time.sleep(PAUSE_S)
            for _ in range(WARM_UP):
                run()
            times[name].append([timed(run) for _ in range(frames)])
            after_turn()
    return {name: latency(rounds) for name, rounds in times.items()}


def timed(run: Callable[[], object]) -> float:
    """Milliseconds of one run."""
    started = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - started) / 1e6


def latency(rounds_ms: Sequence[Sequence[float]]) -> Latency:
    """Latency figures over the single runs of all rounds.

    >>> found = latency([[1.0, 3.0], [2.0, 4.0]])
    >>> found.median_ms, found.min_ms, found.runs, found.rounds_ms
    (2.5, 1.0, 4, (2.0, 3.0))
    """
    times_ms = [time_ms for single in rounds_ms for time_ms in single]
    median, p95, p99 = (float(value) for value in np.percentile(times_ms, (50, 95, 99)))
    return Latency(
        median, min(times_ms), p95, p99, len(times_ms), tuple(float(np.median(single)) for single in rounds_ms)
    )
