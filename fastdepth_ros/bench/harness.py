"""All subjects in turns, with what each of them takes of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from fastdepth_ros.bench.energy import Meter
from fastdepth_ros.bench.process import SubjectError, Worker, pause
from fastdepth_ros.bench.subject import Subject
from fastdepth_ros.bench.timing import Latency, latency

IDLE_S = 2.0
Progress = Callable[[str], object]


@dataclass(frozen=True)
class Measured:
    """Measurement of one subject.

    Args:
        engine: what the engine calls itself.
        load_s: of the process that it runs in, its engine's import included.
        cpu_ms: processor time of one run, over all threads, those that spin included.
        memory_mb: the most that its process held.
        frame_j: joules of one run by meter, all that the meter sees in that time.
        power_w: by meter, mean over the runs.
        computes: what the engine computes, if it is a backend, else empty.
    """

    engine: str
    latency: Latency
    load_s: float
    cpu_ms: float
    memory_mb: float
    frame_j: dict[str, float] = field(default_factory=dict)
    power_w: dict[str, float] = field(default_factory=dict)
    computes: str = ""


@dataclass
class _Tally:
    """State of one subject while it is measured."""

    worker: Worker
    rounds_ms: list[list[float]] = field(default_factory=list)
    cpu_ms: float = 0.0
    memory_mb: float = 0.0
    seconds: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)


def measure(
    subjects: Sequence[Subject], rounds: int, frames: int, meters: Sequence[Meter] = (),
    progress: Progress = lambda name: None,
) -> tuple[dict[str, Measured], dict[str, str]]:  # fmt: skip
    """Load all subjects, then let them take turns.

    Args:
        rounds: turns that each of them gets.
        frames: timed runs in a turn, after three that are not.
        progress: called with a name for each subject that is loaded and for each turn.

    Returns:
        What was measured, and why not of those that failed, by name.
    """
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        tallies = {}
        for subject in subjects:
            progress(subject.name)
            try:
                worker = Worker(subject)
            except SubjectError as error:
                failed[subject.name] = str(error)
                continue
            stack.callback(worker.close)
            tallies[subject.name] = _Tally(worker)
        for _ in range(rounds):
            for name, tally in tallies.items():
                progress(name)
                if name in failed:
                    continue
                try:
                    _turn(tally, frames, meters)
                except SubjectError as error:
                    failed[name] = str(error)
        return {name: _measured(tally) for name, tally in tallies.items() if name not in failed}, failed


def idle_power_w(meters: Sequence[Meter]) -> dict[str, float]:
    """Watts of the machine while nothing of ours runs."""
    before = [meter.total_j() for meter in meters]
    started = time.monotonic()
    if meters:
        time.sleep(IDLE_S)
    elapsed_s = time.monotonic() - started
    return {meter.name: (meter.total_j() - joules) / elapsed_s for meter, joules in zip(meters, before)}


def _turn(tally: _Tally, frames: int, meters: Sequence[Meter]) -> None:
    pause()
    tally.worker.warm_up()
    before, started = [meter.total_j() for meter in meters], time.monotonic()
    turn = tally.worker.turn(max(frames, tally.worker.subject.at_least))
    seconds = time.monotonic() - started
    for meter, joules in zip(meters, before):
        tally.joules[meter.name] = tally.joules.get(meter.name, 0.0) + meter.total_j() - joules
    tally.seconds += seconds
    tally.rounds_ms.append(turn.times_ms)
    tally.cpu_ms += turn.cpu_ms * len(turn.times_ms)
    tally.memory_mb = turn.memory_mb


def _measured(tally: _Tally) -> Measured:
    runs = sum(len(times_ms) for times_ms in tally.rounds_ms)
    return Measured(
        tally.worker.engine,
        latency(tally.rounds_ms),
        tally.worker.load_s,
        tally.cpu_ms / runs,
        tally.memory_mb,
        {name: joules / runs for name, joules in tally.joules.items()},
        {name: joules / tally.seconds for name, joules in tally.joules.items()},
        tally.worker.computes,
    )
