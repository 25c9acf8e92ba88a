"""The figures of one run: from what was measured to rows, to JSON and back; and the changes from one run to another."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastdepth_ros import __version__
from fastdepth_ros.bench.harness import Measured
from fastdepth_ros.bench.machine import describe, machine_figures
from fastdepth_ros.bench.subject import Subject
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write

VERSION = 1
QUIET_CORES = 0.15  # of others, in a round that counts as quiet
FEWEST_QUIET = 5  # rounds, for figures that can be trusted; all where there are fewer
Results = dict[str, Any]


def results_of(
    subjects: Sequence[Subject], measured: Mapping[str, Measured], failed: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Results:  # fmt: skip
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
    unquiet = [row for row in rows if quiet_rounds(row) < min(FEWEST_QUIET, len(row["others_cores"]))]
    below = [row["name"] for row in rows if row.get("ratio", 1.0) < 1.0 and row.get("precision", "fp32") == "fp32"]
    notes = [f"{name} is faster than its floor: others kept the machine from its peak; measure again" for name in below]
    if unquiet:
        most = max(max(row["others_cores"]) for row in unquiet)
        notes.insert(
            0, f"do not trust these figures: {len(unquiet)} of {len(rows)} rows have fewer than {FEWEST_QUIET} quiet "
            f"rounds, others took up to {most:.1f} cores; measure again when the machine is idle",
        )  # fmt: skip
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


def quiet_rounds(row: Mapping[str, Any]) -> int:
    """Number of rounds of a row in which other processes took next to nothing."""
    return sum(cores <= QUIET_CORES for cores in row.get("others_cores", []))


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
    atomic_write(path, json.dumps(results, indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote.

    Raises:
        FastDepthError: missing, no JSON, or of something else.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FastDepthError(f"no file {path}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FastDepthError(f"{path} is not JSON: {error}; measure again, or compare with another file") from error
    if not isinstance(results, dict) or results.get("version") != VERSION or "rows" not in results:
        raise FastDepthError(f"{path} holds no figures of fastdepth bench of version {VERSION}")
    return results


CLEAR = 3.0  # times the noise


class Change(NamedTuple):
    """Change of one row.

    Args:
        before_ms, after_ms: medians.
        noise_ms: standard error of their difference, from the scatter of the medians of single rounds; NaN after a
            single round.
    """

    name: str
    before_ms: float
    after_ms: float
    noise_ms: float

    @property
    def times_noise(self) -> float:
        return (self.after_ms - self.before_ms) / self.noise_ms if self.noise_ms else nan

    @property
    def verdict(self) -> str:
        if isnan(self.noise_ms):
            return "of unknown noise"
        if abs(self.after_ms - self.before_ms) <= CLEAR * self.noise_ms:
            return "within noise"
        return "slower" if self.after_ms > self.before_ms else "faster"


def changes(before: Results, after: Results) -> list[Change]:
    """Changes of the rows that both runs have."""
    old = {row["name"]: row for row in before["rows"]}
    return [
        Change(row["name"], old[row["name"]]["median_ms"], row["median_ms"], _noise_ms(old[row["name"]], row))
        for row in after["rows"]
        if row["name"] in old
    ]


def caveats(before: Results, after: Results) -> list[str]:
    """Reasons why the two runs cannot be compared directly."""
    found = []
    for key, what in (("processor", "processor"), ("cores", "number of cores"), ("governor", "governor")):
        old, new = before["machine"].get(key), after["machine"].get(key)
        if old != new:
            found.append(f"another {what}: {old} before, {new} now")
    if (old := before["settings"].get("power_mode")) != (new := after["settings"].get("power_mode")):
        found.append(f"another power mode: {old or 'none'} before, {new or 'none'} now")
    peaks = {peak["threads"]: peak["peak_gflops"] for peak in before["peaks"]}
    for peak in after["peaks"]:
        old = peaks.get(peak["threads"])
        if old and peak["peak_gflops"] and abs(peak["peak_gflops"] / old - 1) > 0.05:
            found.append(
                f"another peak on {peak['threads']} threads: {old:.0f} before, {peak['peak_gflops']:.0f} GFLOP/s now"
            )
    return found


def _noise_ms(*rows: dict[str, Any]) -> float:
    """Standard error of the difference of two medians of rounds."""
    if any(len(row["rounds_ms"]) < 2 for row in rows):
        return nan
    return float(np.sqrt(sum(np.var(row["rounds_ms"], ddof=1) / len(row["rounds_ms"]) for row in rows)))
