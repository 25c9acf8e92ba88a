"""Plots of a search: accuracy against the resource, and the channels before and after (the paper's Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.pictures.image_files import write_figure
from fastdepth_ros.prune.netadapt import Step
from fastdepth_ros.prune.resources import Resource


def write_search(path: Path, start_cost: float, steps: Sequence[Step], resource: Resource, budget: float) -> None:
    """Held-out delta1 after the short tuning over what each iteration costs, as PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.add_subplot()
    axis.plot([step.cost / start_cost for step in steps], [step.delta1 for step in steps], marker="o", markersize=3)
    axis.axvline(budget / start_cost, color="tab:red", linestyle="--", label="budget")
    axis.invert_xaxis()
    whole = f"{start_cost:,.0f}" if start_cost >= 1000 else f"{start_cost:.4g}"
    axis.set_xlabel(f"share of the start's {whole} {resource.unit}")
    axis.set_ylabel("held-out delta1 after a short tuning")
    write_figure(path, figure, legend_columns=2)


def write_channels(path: Path, before: Channels, after: Channels) -> None:
    """Bars of each layer's channels before and after, as PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axis = figure.add_subplot()
    counts = [[*each.encoder, *each.decoder] for each in (before, after)]
    names = [f"conv {number}" for number in range(14)] + [f"decode {number}" for number in range(1, 6)]
    places = np.arange(len(names))
    axis.bar(places, counts[0], color="0.8", label="before")
    axis.bar(places, counts[1], width=0.55, color="tab:blue", label="after")
    axis.axvline(13.5, color="0.5", linewidth=0.8)
    axis.set_xticks(places, names, rotation=60, ha="right")
    axis.set_ylabel("channels")
    write_figure(path, figure, legend_columns=2)
