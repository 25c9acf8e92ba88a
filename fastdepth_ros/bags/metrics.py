"""Metrics of a bag against its ground truth: figures as JSON, and a plot over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdepth_ros.bags.request import Summary
from fastdepth_ros.jobs.atomic_io import read_json
from fastdepth_ros.metrics.depth import mean_errors, pooled_errors
from fastdepth_ros.pictures.image_files import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JSON_NAME, PICTURE_NAME = "metrics.json", "metrics.png"


def figures(summary: Summary) -> dict[str, Any]:
    """All figures of `fastdepth evaluate`, as the depth is and scale-aligned, and the scale that this takes."""
    rows = summary.measured
    if not rows:
        return {"images": 0, "unmeasured": summary.unmeasured}
    scales = [row["scale"] for row in rows]
    return {
        **_figures(rows, "errors"),
        "scale_aligned": _figures(rows, "errors_scale_aligned"),
        "scale": dict(zip(("p05", "median", "p95"), np.percentile(scales, (5, 50, 95)).tolist())),
        "unmeasured": summary.unmeasured,
    }


def write_metrics(folder: Path, summary: Summary) -> None:
    """`metrics.json` (figures, and the errors of every depth image by its stamp) and `metrics.png`."""
    content = {**figures(summary), "by_time": summary.measured}
    (folder / JSON_NAME).write_text(json.dumps(content, indent=1) + "\n")
    if summary.measured:
        write_figure(folder / PICTURE_NAME, _plot(summary.measured))


def read_metrics(folder: Path) -> dict[str, Any]:
    """Figures of `write_metrics`, without those of single images."""
    content = read_json(folder / JSON_NAME)
    return {key: value for key, value in content.items() if key != "by_time"}


def _figures(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    errors = [row[key] for row in rows]
    return {**mean_errors(errors), "pooled": pooled_errors(errors, [row["pixels"] for row in rows])}


def _plot(rows: Sequence[dict[str, Any]]) -> Figure:
    """RMSE, relative error, delta1 and scale over the seconds of the recording."""
    from matplotlib.figure import Figure

    seconds = (np.array([row["stamp_ns"] for row in rows]) - rows[0]["stamp_ns"]) / 1e9
    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots(4, sharex=True)
    style = {"marker": "."} if len(rows) < 200 else {"linewidth": 0.8}
    for axis, (name, title) in zip(axes, (("rmse", "RMSE [m]"), ("rel", "relative error"), ("delta1", "delta1"))):
        for key, label, color in (
            ("errors", "as it is", "tab:blue"), ("errors_scale_aligned", "scale-aligned", "tab:orange")
        ):  # fmt: skip
            values = [row[key][name] for row in rows]
            axis.plot(seconds, values, color=color, label=f"{label} (mean {np.mean(values):.3f})", **style)
        axis.set_ylabel(title)
        axis.set_ylim(0, 1 if name == "delta1" else None)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize="small")
    axes[3].plot(seconds, [row["scale"] for row in rows], color="tab:green", **style)
    axes[3].axhline(1, color="gray", linewidth=0.8)
    axes[3].set_ylabel("truth / depth, medians")
    axes[3].set_ylim(0, None)
    axes[3].set_xlabel("seconds")
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure
