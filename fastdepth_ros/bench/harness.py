"""Subjects in turns, each in a process of its own, with what each of them takes of the machine.

No engine's threads, memory or crash are another's.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from fastdepth_ros.bench.energy import Meter
from fastdepth_ros.bench.subject import Loaded, Subject
from fastdepth_ros.bench.timing import PAUSE_S, WARM_UP, Latency, latency, timed
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import OtherLoad
from fastdepth_ros.jobs.processes import busy_process

LOAD_TIMEOUT_S = 300.0
TURN_S, WARM_UP_S = 1.0, 0.3  # a slow network gets fewer frames in a turn, one at least


class SubjectError(FastDepthError):
    """A subject that cannot be loaded or that ended; the message says why."""


class Turn(NamedTuple):
    """Single runs, the processor time that the process took for one, and the most memory that it has held."""

    times_ms: list[float]
    cpu_ms: float
    memory_mb: float


class Worker:
    """A subject's process.

    Attributes:
        engine: name that the engine gives itself.
        computes: arithmetic of a backend, else empty.
        load_s: seconds to load it, its engine's import included.

    Raises:
        SubjectError: it cannot be loaded.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, subject.load), name=subject.name, daemon=True
        )
        with _environment(subject.environment()):
            self._process.start()
        theirs.close()
        try:
            self.engine, self.computes, self.load_s = self._answer(LOAD_TIMEOUT_S)
        except SubjectError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def warm_up(self) -> None:
        self.turn(0)

    def turn(self, frames: int) -> Turn:
        """Time some runs; the warm-up's three where `frames` is 0.

        Raises:
            SubjectError: it failed or ended; so do all calls after that.
        """
        self._ask(frames)
        return self._answer(LOAD_TIMEOUT_S)

    def close(self) -> None:
        self._connection.close()  # ends its loop
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, frames: int) -> None:
        try:
            self._connection.send(frames)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise SubjectError(f"its process ended with code {self._process.exitcode}") from error

    def _answer(self, timeout_s: float) -> Any:
        try:
            if not self._connection.poll(timeout_s):
                raise SubjectError(f"no answer within {timeout_s:.0f} s")
            answer = self._connection.recv()
        except (EOFError, ConnectionResetError, BrokenPipeError) as error:
            self._process.join(5)
            raise SubjectError(f"its process ended with code {self._process.exitcode}") from error
        if isinstance(answer, Exception):
            raise SubjectError(str(answer))
        return answer


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, load: Callable[[], Loaded]) -> None:
    """Main loop of a subject's process: load, then one round per number received."""
    try:
        started = time.monotonic()
        loaded = load()
        connection.send((loaded.engine, loaded.computes, time.monotonic() - started))
        while True:
            connection.send(_timed_turn(loaded.run, connection.recv()))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:  # an engine's own, of whatever class; it is told where the subject is measured
        connection.send(SubjectError(f"{type(error).__name__}: {error}"))


def _timed_turn(run: Callable[[], object], frames: int) -> Turn:
    times_ms: list[float] = []
    cpu_s, started = time.process_time(), time.monotonic()
    for _ in range(frames or WARM_UP):
        times_ms.append(timed(run))
        if time.monotonic() - started > (TURN_S if frames else WARM_UP_S):
            break
    cpu_ms = (time.process_time() - cpu_s) * 1e3 / len(times_ms)
    return Turn(times_ms, cpu_ms, _memory_mb())


def _memory_mb() -> float:
    """The most that this process has held; getrusage would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


IDLE_S = 2.0
Progress = Callable[[str], object]


@dataclass(frozen=True)
class Measured:
    """Measurement of one subject.

    Args:
        engine: name that the engine gives itself.
        load_s: seconds to load it in its process, its engine's import included.
        cpu_ms: processor time of one run, over all threads, those that spin included.
        memory_mb: the most that its process held.
        frame_j: joules of one run by meter, all that the meter sees in that time.
        power_w: mean power over the runs, by meter.
        computes: arithmetic of a backend, else empty.
        others_cores: cores that other processes took in each round, our own busy one left out.
    """

    engine: str
    latency: Latency
    load_s: float
    cpu_ms: float
    memory_mb: float
    others_cores: list[float] = field(default_factory=list)
    frame_j: dict[str, float] = field(default_factory=dict)
    power_w: dict[str, float] = field(default_factory=dict)
    computes: str = ""


@dataclass
class _Tally:
    """State of one subject while it is measured."""

    worker: Worker
    rounds_ms: list[list[float]] = field(default_factory=list)
    others_cores: list[float] = field(default_factory=list)
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
        progress: function called with a name for each subject that is loaded and for each turn.

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
    time.sleep(PAUSE_S)  # what spins stops
    with busy_process() if tally.worker.subject.beside_busy else nullcontext() as busy:
        tally.worker.warm_up()
        others = OtherLoad([tally.worker.pid, *([busy.pid] if busy else [])])
        before, started = [meter.total_j() for meter in meters], time.monotonic()
        turn = tally.worker.turn(max(frames, tally.worker.subject.at_least))
        seconds = time.monotonic() - started
        tally.others_cores.append(round(others.cores(), 2))
    for meter, joules in zip(meters, before):
        tally.joules[meter.name] = tally.joules.get(meter.name, 0.0) + meter.total_j() - joules
    tally.seconds += seconds
    tally.rounds_ms.append(turn.times_ms)
    tally.cpu_ms += turn.cpu_ms * len(turn.times_ms)
    tally.memory_mb = turn.memory_mb


def _measured(tally: _Tally) -> Measured:
    runs = sum(len(times_ms) for times_ms in tally.rounds_ms)
    return Measured(
        tally.worker.engine, latency(tally.rounds_ms), tally.worker.load_s, tally.cpu_ms / runs, tally.memory_mb,
        tally.others_cores,
        {name: joules / runs for name, joules in tally.joules.items()},
        {name: joules / tally.seconds for name, joules in tally.joules.items()}, tally.worker.computes,
    )  # fmt: skip
