"""Choice of engine, precision and threads: what the user named, what was measured here, or a shipped order."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.backends import Backend, BackendOptions, backend_class, backend_names
from fastdepth_ros.backends.base import PRECISIONS, BackendError
from fastdepth_ros.backends.native import processor_name
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import DamagedFileError, atomic_write, read_json
from fastdepth_ros.jobs.cores import available_cores
from fastdepth_ros.share import cache_folder

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact

AUTO = "auto"
MAX_ACCURACY_LOSS = 0.003
ORDER = (  # before anything was measured here: the fastest on most machines first
    ("openvino", "int8"),
    ("tvm", "fp32"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("litert", "int8"),
    ("litert", "fp32"),
)
AS_FAST = 1.05  # times the fastest tail; of such choices of one engine, the one with the fewest threads is taken
ONLY_NAMED = ("pytorch",)  # the reference: slow, and its import takes seconds


@dataclass(frozen=True)
class Wanted:
    """Limits of a choice.

    Args:
        backend: name, or "auto".
        options: options of the backend; `threads` 0 leaves their number open.
        precision: one of PRECISIONS, or "auto": for a named backend fp32, or what there is where it has no such file.
        max_accuracy_loss: largest loss of delta1 against fp32 that "auto" accepts of a precision.

    Raises:
        FastDepthError: an unknown precision.
    """

    backend: str = AUTO
    options: BackendOptions = BackendOptions()
    precision: str = AUTO
    max_accuracy_loss: float = MAX_ACCURACY_LOSS

    def __post_init__(self) -> None:
        if self.precision not in (AUTO, *PRECISIONS):
            raise FastDepthError(f"precision is {self.precision!r}, it can be {', '.join((AUTO, *PRECISIONS))}")


@dataclass(frozen=True)
class Choice:
    """One engine with its settings.

    Args:
        why: "named", "shipped order", or the measurement.
    """

    backend: str
    precision: str
    threads: int = 0
    why: str = "named"

    def options(self, wanted: Wanted) -> BackendOptions:
        return replace(wanted.options, precision=self.precision, threads=self.threads)

    def __str__(self) -> str:
        """Engine, precision and threads.

        >>> str(Choice("openvino", "int8", 1))
        'openvino int8, 1 thread'
        """
        threads = {0: "all threads", 1: "1 thread"}.get(self.threads, f"{self.threads} threads")
        return f"{self.backend} {self.precision}, {threads}"


@dataclass(frozen=True)
class Timed:
    """Measurement of one choice: latency in ms at a camera's pace."""

    choice: Choice
    median_ms: float
    slowest_tenth_ms: float


def accuracy_loss(artifact: Artifact, precision: str) -> float | None:
    """Largest loss of delta1 against fp32 that the manifest records; None if it records none."""
    if precision == "fp32" or not artifact.formats():  # without fp32 there is nothing to lose against
        return 0.0
    full, reduced = (
        {
            key: figures["delta1"]
            for key, figures in artifact.facts(one).get("accuracy", {}).items()
            if "delta1" in figures
        }
        for one in ("fp32", precision)
    )
    return max((full[key] - reduced[key] for key in full.keys() & reduced.keys()), default=None)


def candidates(artifact: Artifact, wanted: Wanted) -> list[Choice]:
    """Installed engines x precisions of the artifact that `wanted` allows, the shipped order first.

    Raises:
        FastDepthError: a named backend is not there.
    """
    if wanted.backend != AUTO:
        model_format = backend_class(wanted.backend).model_format  # says what is missing
        has = (precision for precision in PRECISIONS if model_format in artifact.formats(precision))
        named = next(has, "fp32") if wanted.precision == AUTO else wanted.precision
        return [Choice(wanted.backend, named, wanted.options.threads)]
    found = []
    for precision in PRECISIONS if wanted.precision == AUTO else (wanted.precision,):
        loss = accuracy_loss(artifact, precision)
        if wanted.precision == AUTO and (loss is None or loss > wanted.max_accuracy_loss):
            continue
        for name in backend_names(artifact.formats(precision)):
            if name not in ONLY_NAMED and _is_installed(name):
                found.append(Choice(name, precision, wanted.options.threads, "shipped order"))
    rank = {pair: place for place, pair in enumerate(ORDER)}
    return sorted(found, key=lambda choice: rank.get((choice.backend, choice.precision), len(rank)))


def decide(artifact: Artifact, wanted: Wanted) -> tuple[list[Choice], str]:
    """Choices in the order in which to try them: the kept one first.

    Returns:
        The choices, and why a kept one was not believed ("" if it was, or if there is none).

    Raises:
        FastDepthError: a named backend is not there, or nothing that may be chosen is.
    """
    found = candidates(artifact, wanted)
    if not found:
        raise FastDepthError(
            f"no installed engine runs {artifact.name}; it has {', '.join(sorted(artifact.manifest['files']))}",
            "name a backend",
        )
    if not is_open(found, wanted):
        return found, ""
    kept, doubt = kept_choice(artifact, wanted)
    return ([kept] if kept else []) + found, doubt


def is_open(found: Sequence[Choice], wanted: Wanted) -> bool:
    """Whether a measurement could change the choice."""
    return wanted.backend == AUTO and (len(found) > 1 or len(thread_counts(wanted)) > 1)


def thread_counts(wanted: Wanted) -> tuple[int, ...]:
    """Numbers of threads to measure: one, all but one, and all (0), or the one that was named."""
    if wanted.options.threads or available_cores() == 1:
        return (wanted.options.threads,)
    most = wanted.options.thread_limit or available_cores()
    return (*sorted({1, max(1, most - 1)}), 0)


def load_chosen(artifact: Artifact, wanted: Wanted) -> tuple[Choice, Backend]:
    """Load the first choice that loads and passes the golden check.

    Raises:
        FastDepthError: none does; the reason of each.
    """
    choices, doubt = decide(artifact, wanted)
    reasons = [doubt] if doubt else []
    for choice in choices:
        try:
            backend = artifact.load(choice.backend, choice.options(wanted))
        except (FastDepthError, ImportError, OSError) as error:
            if len(choices) == 1:
                raise
            reasons.append(f"{choice.backend} {choice.precision}: {error}")
            continue
        return replace(choice, why="; ".join((choice.why, *reasons))), backend
    raise BackendError("no engine could be loaded: " + "; ".join(reasons))


def best_of(timed: Sequence[Timed]) -> Timed:
    """The choice with the fastest slowest tenth, or the same engine with fewer threads where that is as fast: what is
    left of the processor is the camera's, the middleware's and the planner's."""
    fastest = min(timed, key=lambda one: one.slowest_tenth_ms)
    engine, limit_ms = (fastest.choice.backend, fastest.choice.precision), AS_FAST * fastest.slowest_tenth_ms
    near = [
        one
        for one in timed
        if (one.choice.backend, one.choice.precision) == engine and one.slowest_tenth_ms <= limit_ms
    ]
    return min(near, key=lambda one: one.choice.threads or inf)


def keep_choice(artifact: Artifact, wanted: Wanted, timed: Sequence[Timed], date: str) -> Choice:
    """Keep the choice of `best_of`, for the next start on this machine."""
    best = best_of(timed)
    rest = sorted((one for one in timed if one is not best), key=lambda one: one.slowest_tenth_ms)
    others = ", ".join(f"{one.choice} {one.slowest_tenth_ms:.2f}" for one in rest)
    why = f"measured {date}, ms in the slowest tenth: {best.slowest_tenth_ms:.2f}" + (f"; {others}" if others else "")
    choice = replace(best.choice, why=why)
    measured_for = _measured_for(artifact, wanted)
    content = {"measured_for": measured_for, "choice": asdict(choice)}
    path = _kept_file(measured_for)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(content, indent=2) + "\n")
    return choice


def kept_choice(artifact: Artifact, wanted: Wanted) -> tuple[Choice | None, str]:
    """The choice kept on this machine, and why one is not believed ("" if there is none)."""
    now = _measured_for(artifact, wanted)
    try:
        path = _kept_file(now)
        found = read_json(path)
        measured_for, choice = found["measured_for"], Choice(**found["choice"])
        text = [choice.backend, choice.precision, choice.why]
        if not all(isinstance(value, str) for value in text) or not isinstance(choice.threads, int):
            raise TypeError(f"choice is {found['choice']}")
    except FileNotFoundError:
        return None, ""
    except (DamagedFileError, OSError, TypeError, KeyError) as error:
        return None, f"kept choice {path} is damaged ({error})"
    if measured_for != now:
        differing = [key for key in now if not isinstance(measured_for, dict) or measured_for.get(key) != now[key]]
        return None, f"kept choice {path} was measured with another {', '.join(differing) or 'machine'}"
    return choice, ""


def _measured_for(artifact: Artifact, wanted: Wanted) -> dict[str, Any]:
    """Everything that a measurement depends on, as JSON."""
    options = {name: value for name, value in asdict(wanted.options).items() if name != "precision"}
    return {
        "processor": f"{processor_name()}, {available_cores()} cores",
        "engines": {name: _version(name) for name in backend_names() if _is_installed(name)},
        "model": {key: entry["sha256"] for key, entry in sorted(artifact.manifest["files"].items())},
        "limits": {"precision": wanted.precision, "max_accuracy_loss": wanted.max_accuracy_loss, **options},
    }


def _kept_file(measured_for: dict[str, Any]) -> Path:
    """File of the choice for one model and one set of limits; what else it was measured for is inside."""
    digest = hashlib.sha256(json.dumps([measured_for["model"], measured_for["limits"]]).encode()).hexdigest()
    return cache_folder() / "choices" / f"{digest[:16]}.json"


def _is_installed(name: str) -> bool:
    try:
        backend_class(name)
    except BackendError:
        return False
    return True


def _version(name: str) -> str:
    """Version of an engine, or the age of its installation where its distribution has another name."""
    module = backend_class(name).module
    try:
        return version(module.replace("_", "-"))
    except PackageNotFoundError:
        origin = getattr(find_spec(module), "origin", None)
        return f"of {os.stat(origin).st_mtime_ns}" if origin else ""
