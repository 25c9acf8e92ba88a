"""Choice that was measured on this machine, kept in the user's cache for the next start."""

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
from typing import Any

from fastdepth_ros.artifact.artifact import Artifact
from fastdepth_ros.backends import backend_class, backend_names
from fastdepth_ros.backends.native import processor_name
from fastdepth_ros.choice.choice import AUTO, Choice, Wanted, is_installed
from fastdepth_ros.jobs.atomic_io import DamagedFileError, atomic_write, read_json
from fastdepth_ros.jobs.cores import available_cores
from fastdepth_ros.share import cache_folder

AS_FAST = 1.05  # times the fastest tail; of such choices of one engine, the one with the fewest threads is taken


@dataclass(frozen=True)
class Timed:
    """Measurement of one choice: latency in ms at a camera's pace."""

    choice: Choice
    median_ms: float
    slowest_tenth_ms: float


def is_open(found: Sequence[Choice], wanted: Wanted) -> bool:
    """Whether a measurement could change the choice."""
    return wanted.backend == AUTO and (len(found) > 1 or len(thread_counts(wanted)) > 1)


def thread_counts(wanted: Wanted) -> tuple[int, ...]:
    """Numbers of threads to measure: one, all but one, and all (0), or the one that was named."""
    if wanted.options.threads or available_cores() == 1:
        return (wanted.options.threads,)
    most = wanted.options.thread_limit or available_cores()
    return (*sorted({1, max(1, most - 1)}), 0)


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
        "engines": {name: _version(name) for name in backend_names() if is_installed(name)},
        "model": {key: entry["sha256"] for key, entry in sorted(artifact.manifest["files"].items())},
        "limits": {"precision": wanted.precision, "max_accuracy_loss": wanted.max_accuracy_loss, **options},
    }


def _kept_file(measured_for: dict[str, Any]) -> Path:
    """File of the choice for one model and one set of limits; what else it was measured for is inside."""
    digest = hashlib.sha256(json.dumps([measured_for["model"], measured_for["limits"]]).encode()).hexdigest()
    return cache_folder() / "choices" / f"{digest[:16]}.json"


def _version(name: str) -> str:
    """Version of an engine, or the age of its installation where its distribution has another name."""
    module = backend_class(name).module
    try:
        return version(module.replace("_", "-"))
    except PackageNotFoundError:
        origin = getattr(find_spec(module), "origin", None)
        return f"of {os.stat(origin).st_mtime_ns}" if origin else ""
