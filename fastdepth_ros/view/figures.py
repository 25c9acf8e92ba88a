"""Metrics from JSON: sets of figures by name, and figures over time.

The reader accepts the output of `fastdepth evaluate --json` and the metrics.json of `fastdepth bag --truth-topic`. An
object with a number under at least one name of `metrics.depth.NAMES` is a set of figures, named by its key ("pooled",
"scale_aligned", ...). A list of such objects with times is a series. A time is `stamp_ns` (whole nanoseconds), or
`stamp` or `time_s` (seconds). Other content is ignored.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.metrics.depth import NAMES

_TIMES = {"stamp_ns": 1e-9, "stamp": 1.0, "time_s": 1.0}


@dataclass
class Figures:
    """`sets`: name -> figures; `series`: name -> [(seconds, figures), ...] in order of time."""

    sets: dict[str, dict[str, float]] = field(default_factory=dict)
    series: dict[str, list[tuple[float, dict[str, float]]]] = field(default_factory=dict)


def read_figures(path: Path) -> Figures:
    """Read every set and series of a JSON file.

    Raises:
        FastDepthError: not JSON, or no figure with a known name.
        OSError: the file cannot be read.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FastDepthError(f"{path} is not JSON: {error}") from error
    figures = Figures()
    _collect(figures, tree, "")
    if not figures.sets and not figures.series:
        raise FastDepthError(f"{path} holds no metrics: none of {', '.join(NAMES)} is in it")
    return figures


def _collect(figures: Figures, tree: Any, name: str) -> None:
    if isinstance(tree, dict):
        if found := _numbers(tree):
            figures.sets[name or "metrics"] = found
        for key, branch in tree.items():
            _collect(figures, branch, f"{name} / {key}" if name else str(key))
    elif isinstance(tree, list):
        timed = [(_seconds(entry), entry) for entry in tree if isinstance(entry, dict)]
        series: dict[str, list[tuple[float, dict[str, float]]]] = {}
        for seconds, entry in timed:
            if seconds is None:
                continue
            for part, branch in (("", entry), *entry.items()):
                if isinstance(branch, dict) and (found := _numbers(branch)):
                    series.setdefault(part or name or "over time", []).append((seconds, found))
        for label, points in series.items():
            label = f"{name} / {label}" if label in figures.series else label
            figures.series[label] = sorted(points, key=lambda point: point[0])


def _numbers(entry: dict[str, Any]) -> dict[str, float]:
    values = {name: entry.get(name) for name in (*NAMES, "images")}
    found = {name: float(v) for name, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}
    return found if any(name in found for name in NAMES) else {}


def _seconds(entry: dict[str, Any]) -> float | None:
    for key, unit in _TIMES.items():
        if isinstance(value := entry.get(key), (int, float)):
            return value * unit
    return None
