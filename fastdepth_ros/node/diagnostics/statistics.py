"""Counters and stage times of the node, and the figures made of them. Knows no ROS."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastdepth_ros.depth.estimator import PERCENTILES

WINDOW_FRAMES = 300
LONGEST_DETAIL = 1000  # letters; a publisher's names, as of an encoding, have no limit


@dataclass(frozen=True)
class Snapshot:
    """Figures of the statistics at one time.

    Args:
        rate_in_hz, rate_out_hz: frames per second since the last snapshot.
        durations_ms: p50, p95 and p99 per stage over the last 300 frames.
        counts: numbers since the node was activated: received, published, replaced, and what went wrong.
        news: growth of `counts` since the last snapshot.
        stalled_snapshots: number of snapshots in a row with frames received and none published.
        details: the newest detail of each name in `news` that has one.
        oldest_ms, slowest_ms: the greatest age and the longest inference since the last snapshot.
        silent_s: seconds since the newest frame came, or since the node was activated.
        longest_ms: the longest time of a frame in this node since the last snapshot.
    """

    rate_in_hz: float
    rate_out_hz: float
    durations_ms: dict[str, tuple[float, ...]]
    counts: dict[str, int]
    news: dict[str, int]
    details: dict[str, str]
    stalled_snapshots: int
    oldest_ms: float
    slowest_ms: float
    silent_s: float
    longest_ms: float = 0.0


class Statistics:
    """Counters and stage times; written by the executor's thread and the worker's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._durations_ms: dict[str, deque[float]] = {}
        self._details: dict[str, str] = {}
        self._longest_ms: dict[str, float] = {}
        self._stalled_snapshots = 0
        self._snapshot_at = self._received_at = time.monotonic()

    def count(self, name: str, detail: str = "", number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number
            if detail:
                self._details[name] = detail[:LONGEST_DETAIL]

    def count_all(self, details: Mapping[str, str]) -> None:
        """Count each name once, with its detail: "" is none."""
        with self._lock:
            self._counts.update(details.keys())
            self._details.update((name, detail[:LONGEST_DETAIL]) for name, detail in details.items() if detail)
            if "received" in details:
                self._received_at = time.monotonic()

    def total(self, *names: str) -> int:
        """Sum of the counters of these names."""
        with self._lock:
            return sum(self._counts[name] for name in names)

    def count_published(self, durations_ms: Mapping[str, float]) -> None:
        """Count a published depth image, with the duration of each stage."""
        with self._lock:
            self._counts["published"] += 1
            for stage, duration_ms in durations_ms.items():
                self._durations_ms.setdefault(stage, deque(maxlen=WINDOW_FRAMES)).append(duration_ms)
                self._longest_ms[stage] = max(duration_ms, self._longest_ms.get(stage, 0.0))

    def snapshot(self) -> Snapshot:
        """The figures now; rates and news start again."""
        with self._lock:
            now = time.monotonic()
            elapsed_s = max(now - self._snapshot_at, 1e-3)
            news = self._counts - self._seen
            self._seen, self._snapshot_at = self._counts.copy(), now
            details, self._details = self._details, {}
            longest_ms, self._longest_ms = self._longest_ms, {}
            silent_s = now - self._received_at
            stalled = news["received"] > news["skipped"] + news["held"] and news["published"] == 0
            self._stalled_snapshots = self._stalled_snapshots + 1 if stalled else 0
            stalled_snapshots = self._stalled_snapshots
            counts = dict(self._counts)
            durations = {stage: np.array(window) for stage, window in self._durations_ms.items()}
        percentiles = {stage: tuple(np.percentile(values, PERCENTILES)) for stage, values in durations.items()}
        return Snapshot(
            news["received"] / elapsed_s,
            news["published"] / elapsed_s,
            percentiles,
            counts,
            dict(news),
            details,
            stalled_snapshots,
            longest_ms.get("age", 0.0),
            longest_ms.get("infer", 0.0),
            silent_s,
            longest_ms.get("total", 0.0),
        )
