"""Measurement of the engines that could run an artifact here, in a process of its own: `python -m` with a JSON request.

Every candidate is called a few times. The best of them then take turns at a camera's pace, with one thread and with
all, and are judged by the mean of their slowest tenth: a tail is what a robot feels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.artifact.golden import golden_input
from fastdepth_ros.backends import Backend, BackendOptions
from fastdepth_ros.choice.choice import Choice, Wanted, candidates
from fastdepth_ros.choice.kept import Timed, thread_counts
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import OtherLoad

BUDGET_S = 10.0
GRACE_S = 20.0  # for the start of the process and the load of the last engine
TRIAL_CALLS, FINALISTS = 10, 3
PACED_CALLS, PERIOD_S = 60, 1 / 30
FEWEST_CALLS = 20  # of a slow network within the budget
QUIET_SHARE = 0.25  # of the cores; above it, others disturb the measurement


class Measurement:
    """A measurement that runs in a child process, to be closed."""

    def __init__(self, artifact: Artifact, wanted: Wanted) -> None:
        self._output: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by `close`
        request = json.dumps({"model": str(artifact.folder.resolve()), "wanted": asdict(wanted)})
        command = [sys.executable, "-m", "fastdepth_ros.choice.measure", request]
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.DEVNULL)
        self._load = OtherLoad([self._process.pid])
        self._ends_at = time.monotonic() + BUDGET_S + GRACE_S

    @property
    def done(self) -> bool:
        """Is it over? One that takes too long is ended here."""
        if not self._has_ended() and time.monotonic() > self._ends_at:
            self._process.kill()
        return self._has_ended()

    def _has_ended(self) -> bool:
        """Nobody waits for it before its result is read: the system would forget its processor time."""
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, ended) is not None

    def result(self) -> tuple[list[Timed], float]:
        """Latencies, and the number of cores that others took meanwhile; once it is done.

        Raises:
            FastDepthError: nothing was; the reason, and what it had come to.
        """
        others = self._load.cores()
        self._process.wait()
        self._output.seek(0)
        last = next(filter(None, map(_row, reversed(self._output.read().splitlines()))), {})
        if "timed" not in last:
            why = last.get("error") or f"its process ended with code {self._process.returncode}"
            raise FastDepthError(f"no engine was chosen: {why}" + (f" at {last['at']}" if "at" in last else ""))
        return [Timed(Choice(**row.pop("choice")), **row) for row in last["timed"]], others

    def wait(self) -> None:
        while not self.done:
            time.sleep(0.05)

    def close(self) -> None:
        """End it, and forget its result."""
        self._process.kill()
        self._process.wait()
        self._output.close()


def measure(
    artifact: Artifact, wanted: Wanted, tell: Callable[[str], object] = lambda text: None, budget_s: float = BUDGET_S
) -> list[Timed]:
    """Latency of the best candidates at a camera's pace.

    Args:
        tell: function called with the name of what is loaded next.
        budget_s: after which no further candidate is loaded, and the turns end.

    Raises:
        FastDepthError: no candidate works, or the budget ended before there were enough calls.
    """
    ends_at = time.monotonic() + budget_s
    given, loaded = golden_input(artifact.network), dict[Choice, Backend]()
    trials: list[Timed] = []
    for choice in candidates(artifact, wanted):
        if time.monotonic() > ends_at - budget_s / 2 and trials:
            break
        tell(str(choice))
        backend = _loaded(artifact, choice, wanted)
        if backend is not None:
            loaded[choice] = backend
            trials.append(_timed(choice, [_call_ms(backend, given) for _ in range(TRIAL_CALLS)]))
    best = [trial.choice for trial in sorted(trials, key=lambda trial: trial.slowest_tenth_ms)[:FINALISTS]]
    engines: dict[Choice, Backend] = {}
    for choice in best:
        for threads in thread_counts(wanted):
            final = replace(choice, threads=threads)
            tell(str(final))
            backend = loaded.get(final) or _loaded(artifact, final, wanted)
            if backend is not None:
                engines[final] = backend
    if not engines:
        raise FastDepthError(f"no installed engine runs {artifact.name}")
    return _paced(engines, given, ends_at)


def _paced(engines: dict[Choice, Backend], given: Sequence[np.ndarray], ends_at: float) -> list[Timed]:
    """Turns of all engines in each period; who is first in it changes, for that one wakes the processor up."""
    times_ms: dict[Choice, list[float]] = {choice: [] for choice in engines}
    order, due = list(engines), time.monotonic()
    for count in range(PACED_CALLS):
        if time.monotonic() > ends_at:
            if count < FEWEST_CALLS:
                raise FastDepthError(f"{count} calls of each engine in the time that there was, needs {FEWEST_CALLS}")
            break
        due = max(due + PERIOD_S, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        order = [*order[1:], order[0]]
        for choice in order:
            times_ms[choice].append(_call_ms(engines[choice], given))
    return [_timed(choice, times) for choice, times in times_ms.items()]


def _timed(choice: Choice, times_ms: Sequence[float]) -> Timed:
    slowest = sorted(times_ms)[-max(1, len(times_ms) // 10) :]
    return Timed(choice, round(float(np.median(times_ms)), 3), round(float(np.mean(slowest)), 3))


def _loaded(artifact: Artifact, choice: Choice, wanted: Wanted) -> Backend | None:
    """The engine, its golden frame checked; None if it does not work here."""
    try:
        return artifact.load(choice.backend, choice.options(wanted))
    except Exception:  # of any kind, from a broken installation; another engine may work
        return None


def _call_ms(backend: Backend, given: Sequence[np.ndarray]) -> float:
    started = time.perf_counter_ns()
    backend.infer(*given)
    return (time.perf_counter_ns() - started) / 1e6


def main() -> int:
    """Measure what the request names; the last line of output holds the result or the error."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    options = BackendOptions(**request["wanted"].pop("options"))
    try:
        artifact = find_artifact(Path(request["model"]))
        timed = measure(
            artifact, Wanted(options=options, **request["wanted"]), lambda text: _print({"at": text})
        )  # fmt: skip
    except (FastDepthError, OSError) as error:
        _print({"error": str(error)})
        return 1
    _print({"timed": [asdict(one) for one in timed]})
    return 0


def _row(line: str) -> dict[str, Any] | None:
    """A row of `_print`; None for a line of an engine, some of which write to this output too, or a cut one."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _print(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
