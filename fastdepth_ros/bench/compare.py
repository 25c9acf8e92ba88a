"""Comparison of two runs: changes, and whether they exceed the noise."""

from __future__ import annotations

from math import isnan, nan
from typing import Any, NamedTuple

import numpy as np

from fastdepth_ros.bench.results import Results

CLEAR = 3.0  # times the noise


class Change(NamedTuple):
    """Change of one row.

    Args:
        before_ms, after_ms: medians.
        noise_ms: of their difference: what the medians of single rounds scatter by, as a standard error; NaN after a
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
