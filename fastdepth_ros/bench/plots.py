"""The paper's Fig. 1 (accuracy against frames a second) and Fig. 3 (encoder and decoder), of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from fastdepth_ros.bench.report import halves
from fastdepth_ros.bench.results import Results
from fastdepth_ros.pictures.image_files import write_figure

OURS, PAPER = "tab:red", "0.45"
DPI = 130


def write_accuracy(path: Path, results: Results) -> bool:
    """delta1 over frames a second: each model on its fastest engine, beside the paper's figures where torch is here.

    Returns:
        False where no model has an accuracy; nothing is written then.
    """
    ours = _fastest(results)
    if not ours:
        return False
    figure = Figure(figsize=(8, 5), dpi=DPI, layout="constrained")
    axis = figure.add_subplot()
    labels = []
    for row in ours:
        fps = 1000 / row["median_ms"]
        label = results["machine"]["processor"] if row is ours[0] else None
        axis.scatter(fps, row["delta1"], color=OURS, s=70, marker="*", zorder=3, label=label)
        precision = "" if row["precision"] == "fp32" else f" {row['precision']}"
        text = f"{row['model']}{precision}\n{row['backend']}, {fps:.0f} fps"
        labels.append(_tell(axis, fps, row["delta1"], text, OURS))
    labels += _paper_points(axis)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.set_xlim(low / 1.3, high * 5)  # the names stand to the right
    axis.set_xlabel("frames a second, batch 1")
    axis.set_ylabel("delta1 on the test split of NYU Depth v2")
    axis.grid(alpha=0.3)
    _move_apart(figure, axis, labels)
    write_figure(path, figure, legend_columns=3)
    return True


def write_halves(path: Path, results: Results) -> bool:
    """Stacked bars of encoder and decoder, a bar a network.

    Returns:
        False where no network was cut in two; nothing is written then.
    """
    found = halves(results)
    if not found:
        return False
    figure = Figure(figsize=(1.4 * len(found) + 3, 5), dpi=DPI, layout="constrained")
    axis = figure.add_subplot()
    names = list(found)
    encoder, decoder = (np.array([found[name][part]["median_ms"] for name in names]) for part in ("encoder", "decoder"))
    axis.bar(names, encoder, width=0.6, color="tab:blue", label="encoder")
    axis.bar(names, decoder, width=0.6, bottom=encoder, color="tab:orange", label="decoder")
    for place, (first, second) in enumerate(zip(encoder, decoder)):
        total, share = first + second, first / (first + second)
        axis.text(place, total, f"{total:.1f} ms\n{share:.0%} / {1 - share:.0%}", ha="center", va="bottom", fontsize=9)
    axis.set_xlim(-0.7, len(found) - 0.3)
    axis.set_ylim(0, (encoder + decoder).max() * 1.2)
    axis.set_xticks(
        range(len(names)), [name.replace(" + ", "\n+ ").replace("-decoder", "-\ndecoder") for name in names]
    )
    threads = found[names[0]]["whole"]["threads"]
    axis.set_ylabel(f"ms in ONNX Runtime, {threads} thread{'s' if threads > 1 else ''}")
    figure.suptitle(results["machine"]["processor"], fontsize="medium")
    write_figure(path, figure, legend_columns=2)
    return True


def _fastest(results: Results) -> list[dict[str, Any]]:
    """Row of the fastest engine, for each model and precision whose accuracy is known."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in results["rows"]:
        if row["group"] == "engine" and row.get("delta1") is not None:
            key = (row["model"], row["precision"])
            if row["median_ms"] < best.setdefault(key, row)["median_ms"]:
                best[key] = row
    return list(best.values())


def _paper_points(axis: Axes) -> list[Annotation]:
    """Table I: prior work and FastDepth on the Jetson TX2's GPU, and on its CPU."""
    if find_spec("torch") is None:  # the table builds its networks with it
        return []
    from fastdepth_ros.nn.paper.tables import TABLES

    labels = []

    for column, marker, told in (("tx2_gpu_ms", "o", True), ("tx2_cpu_ms", "s", False)):
        points = [(1000 / float(row.paper[column]), float(row.paper["delta1"]), row.name) for row in TABLES[1].rows]
        device = column.split("_")[1].upper()
        fps, delta1, names = zip(*points)
        axis.scatter(fps, delta1, color=PAPER, marker=marker, s=28, label=f"Table I, Jetson TX2 {device}")
        if told:
            for x, y, name in points:
                labels.append(_tell(axis, x, y, name, PAPER))
    return labels


def _tell(axis: Axes, x: float, y: float, text: str, color: str) -> Annotation:
    line = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4}
    return axis.annotate(
        text, (x, y), xytext=(6, 0), textcoords="offset points", fontsize=7.5, color=color, va="center", arrowprops=line
    )


def _move_apart(figure: Figure, axis: Axes, labels: Sequence[Annotation]) -> None:
    """Raise or lower each label until it covers no point and none of the labels before it."""
    figure.draw_without_rendering()  # places the axes
    half = 4 * figure.dpi / 72  # of a star, in pixels
    points = [point for drawn in axis.collections for point in axis.transData.transform(drawn.get_offsets())]
    placed = [Bbox.from_bounds(x - half, y - half, 2 * half, 2 * half) for x, y in points]
    for label in labels:
        for rise in sorted(range(-90, 91, 3), key=abs):
            label.set_position((6, rise))
            label.get_window_extent()  # updates its place
            box = Text.get_window_extent(label)  # without its line
            if not any(box.overlaps(other) for other in placed):
                break
        placed.append(box)
