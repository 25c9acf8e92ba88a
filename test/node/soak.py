"""A soak: twice as many frames as the node can take, for minutes; memory, threads and age have to stay flat.

python test/node/soak.py --minutes 30 --out soak    # prints the verdict, writes soak/soak.json and soak/soak.png
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fault_suite import Graph
from tqdm import tqdm

FIRST_HZ, STEP, STEP_S, LOOKS = 10.0, 1.4, 5.0, 4  # of the search for the rate that the node sustains
FOLLOWED = 0.85
ALLOWED_MB = 2.0  # growth over the last two thirds
AGE_GROWTH_FRAMES = 1.0  # from the second third to the last: the age that a queue would add


@dataclass
class Soak:
    """Samples taken once a second, and the node's counts.

    Age is counted in frames too, age times rate: where the machine has other work both change, and their product stays.
    """

    sustained_hz: float
    seconds: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)
    age_frames: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, float]:
        second, last = self._thirds()
        return {
            "sustained_hz": self.sustained_hz,
            "minutes": self.seconds[-1] / 60,
            "resident_mb_first_third": float(np.median(self.resident_mb[: second.start])),
            "resident_mb_growth": self._fitted_growth(),
            "threads_second_third": max(self.threads[second]),
            "threads_last_third": max(self.threads[last]),
            "age_ms_second_third": float(np.median(self.age_ms[second])),
            "age_ms_last_third": float(np.median(self.age_ms[last])),
            "age_frames_second_third": float(np.median(self.age_frames[second])),
            "age_frames_last_third": float(np.median(self.age_frames[last])),
            **self.counts,
        }

    def complaints(self) -> list[str]:
        """Measured values that are not flat."""
        figures, found = self.figures, []
        if figures["resident_mb_growth"] >= ALLOWED_MB:
            found.append(f"memory grew by {figures['resident_mb_growth']:.1f} MB over the last two thirds")
        if figures["threads_last_third"] > figures["threads_second_third"]:
            found.append(f"threads grew from {figures['threads_second_third']} to {figures['threads_last_third']}")
        before, after = figures["age_frames_second_third"], figures["age_frames_last_third"]
        if after > before + AGE_GROWTH_FRAMES:
            found.append(f"age grew from {before:.1f} to {after:.1f} frames")
        if self.counts["failed"] or self.counts["unreadable"] or self.counts["abandoned"]:
            found.append(f"frames failed: {self.counts}")
        return found

    def _thirds(self) -> tuple[slice, slice]:
        third = len(self.seconds) // 3
        return slice(third, 2 * third), slice(2 * third, None)

    def _fitted_growth(self) -> float:
        """Slope of a line through the last two thirds: a single sample may see a temporary buffer."""
        start = self._thirds()[0].start
        seconds = np.array(self.seconds[start:])
        slope = np.polyfit(seconds, self.resident_mb[start:], 1)[0]
        return float(slope * (seconds[-1] - seconds[0]))


def soak(model: str | Path, minutes: float, size: tuple[int, int] = (240, 320)) -> Soak:
    """Run the node for some minutes at twice the rate that it sustains, in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        graph = Graph(model, Path(folder))
        try:
            graph.camera(size=size, info_size=size, sends=True)
            sustained_hz = _sustained_hz(graph)
            graph.camera(rate_hz=2 * sustained_hz)
            found = Soak(sustained_hz)
            started = time.monotonic()
            for _ in tqdm(range(round(minutes * 60)), desc="soak", unit="s", file=sys.stderr):
                time.sleep(max(started + len(found.seconds) + 1 - time.monotonic(), 0.0))
                _sample(graph, found, time.monotonic() - started)
                graph.forget()
            graph.settle()
            found.counts = {name: int(graph.told[-1][1][name]) for name in COUNTS}
            assert not graph.exit_codes, f"the node ended: {graph.exit_codes}"
            return found
        finally:
            graph.close()


COUNTS = ("received", "published", "replaced", "unreadable", "failed", "abandoned")


def _sustained_hz(graph: Graph) -> float:
    """The most depth images a second: the camera is made faster until the node does not follow."""
    rate_hz, sustained_hz = FIRST_HZ, 0.0
    while True:
        graph.camera(rate_hz=rate_hz)
        time.sleep(STEP_S)
        rates = [float(values["rate out [Hz]"]) for _, values, _ in graph.told[-LOOKS:]]
        best_hz = float(np.median(rates))
        if best_hz < FOLLOWED * rate_hz:
            return max(best_hz, sustained_hz)
        rate_hz, sustained_hz = rate_hz * STEP, best_hz


def _sample(graph: Graph, found: Soak, seconds: float) -> None:
    status = Path(f"/proc/{graph.node_pid}/status").read_text()
    found.seconds.append(seconds)
    found.resident_mb.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000)
    found.threads.append(int(re.search(r"Threads:\s+(\d+)", status)[1]))
    values = graph.told[-1][1]
    found.age_ms.append(float(values["age p50 [ms]"]))
    found.age_frames.append(found.age_ms[-1] / 1000 * float(values["rate out [Hz]"]))


def draw(found: Soak, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    series = (("resident memory, MB", found.resident_mb), ("threads", found.threads), ("age p50, ms", found.age_ms))
    for axes, (label, values) in zip(figure.subplots(len(series), sharex=True), series):
        axes.plot(np.array(found.seconds) / 60, values, linewidth=1)
        axes.set_ylabel(label)
        axes.set_ylim(0, max(values) * 1.15)
        axes.grid(alpha=0.3)
    axes.set_xlabel("minutes")
    figure.savefig(path, dpi=100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--model", default="fastdepth-pruned", help="artifact")
    parser.add_argument("--size", default="320x240", help="size of the frames, width x height")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder of soak.json and soak.png")
    parsed = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    width, height = (int(side) for side in parsed.size.split("x"))
    found = soak(parsed.model, parsed.minutes, (height, width))
    parsed.out.mkdir(parents=True, exist_ok=True)
    (parsed.out / "soak.json").write_text(json.dumps({**found.figures, "complaints": found.complaints()}, indent=2))
    draw(found, parsed.out / "soak.png")
    for name, value in found.figures.items():
        print(f"{name}: {value:g}")
    print("; ".join(found.complaints()) or "flat")
    return int(bool(found.complaints()))


if __name__ == "__main__":
    sys.exit(main())
