"""The figures of one run: from what was measured to rows, and to JSON and back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastdepth_ros import __version__
from fastdepth_ros.bench.harness import Measured
from fastdepth_ros.bench.machine import describe, machine_figures
from fastdepth_ros.bench.subject import Subject
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import write_whole

VERSION = 1
Results = dict[str, Any]


def results_of(
    subjects: Sequence[Subject],
    measured: Mapping[str, Measured],
    failed: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Results:
    """Everything that was measured, as JSON holds it.

    Each row has its subject's facts, the latency's figures, and where the network's MACs are known and the processor
    computes `floor_ms`, the least time that they take at this machine's peak in float32 on as many threads, and
    `ratio`, the median over it.
    """
    fastest_ms = {name: found.latency.min_ms for name, found in measured.items()}
    counts = sorted({subject.threads for subject in subjects if subject.name.startswith("machine/")})
    peaks = [machine_figures(count, fastest_ms) for count in counts]
    peak_of = {peak["threads"]: peak["peak_gflops"] for peak in peaks}
    rows = [
        _row(subject, measured[subject.name], peak_of.get(subject.threads))
        for subject in subjects
        if subject.name in measured and "group" in subject.facts
    ]
    below = [row["name"] for row in rows if row.get("ratio", 1.0) < 1.0 and row.get("precision", "fp32") == "fp32"]
    notes = [f"{name} is faster than its floor: others kept the machine from its peak; measure again" for name in below]
    return {
        "version": VERSION,
        "fastdepth_ros": __version__,
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": describe(),
        "settings": dict(settings),
        "peaks": peaks,
        "rows": rows,
        "failed": dict(failed),
        "notes": notes,
    }


def _row(subject: Subject, found: Measured, peak_gflops: float | None) -> dict[str, Any]:
    figures = asdict(found)
    computes = figures.pop("computes")
    row = {"name": subject.name, "threads": subject.threads, **subject.facts, **figures.pop("latency"), **figures}
    if computes:  # what was asked for is in the name, what was measured is told
        row["precision"] = computes
    if row.get("macs") and peak_gflops and row.get("device", "cpu") == "cpu":
        row["floor_ms"] = 2 * row["macs"] / peak_gflops / 1e6
        row["ratio"] = row["median_ms"] / row["floor_ms"]
    return row


def write_results(path: Path, results: Results) -> None:
    """Write JSON, whole or not at all."""
    write_whole(path, json.dumps(results, indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote.

    Raises:
        FastDepthError: missing, no JSON, or of something else.
    """
    try:
        results = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FastDepthError(f"no file {path}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FastDepthError(f"{path} is not JSON: {error}; measure again, or compare with another file") from error
    if not isinstance(results, dict) or results.get("version") != VERSION or "rows" not in results:
        raise FastDepthError(f"{path} holds no figures of fastdepth bench of version {VERSION}")
    return results
