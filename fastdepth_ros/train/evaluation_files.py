"""Files that an evaluation writes: a table of the errors of each image, and pictures of chosen images."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.data.datasets import Dataset
from fastdepth_ros.depth.network import Network
from fastdepth_ros.jobs.atomic_io import atomic_file
from fastdepth_ros.metrics.depth import NAMES
from fastdepth_ros.pictures.image_files import write_figure, write_picture
from fastdepth_ros.pictures.panel import panel
from fastdepth_ros.train.evaluation import ImageErrors, Protocol, comparison_row

PANEL_ROWS, WORST = 6, 10


def write_csv(path: Path, rows: Sequence[ImageErrors]) -> None:
    """Write the errors of each image as CSV, atomically."""
    with atomic_file(path) as partial, partial.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["name", "pixels", *NAMES, "delta1_median_scaled", "delta1_near"])
        table.writerows(
            [row.name, row.pixels, *(row.errors[name] for name in NAMES), row.median_scaled["delta1"], row.near]
            for row in rows
        )


def evenly_spread(rows: Sequence[ImageErrors]) -> list[ImageErrors]:
    """`PANEL_ROWS` images, evenly spread over all."""
    return [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, PANEL_ROWS).astype(int))]


def worst(rows: Sequence[ImageErrors]) -> list[ImageErrors]:
    """The `WORST` images of largest RMSE, the largest first."""
    return sorted(rows, key=lambda row: row.errors["rmse"], reverse=True)[:WORST]


def write_pictures(
    path: Path, models: Mapping[str, tuple[Backend, Network]], dataset: Dataset, protocol: Protocol,
    rows: Sequence[ImageErrors],
) -> None:  # fmt: skip
    """Write a panel of images as .png: frame, truth, the depth of each model, and the error of the last model."""
    pictures = [
        comparison_row(
            models, dataset[row.index], protocol,
            f"{row.name}: RMSE {row.errors['rmse']:.2f} m, delta1 {row.errors['delta1']:.2f}",
            getattr(dataset, "camera", None),
        )
        for row in rows
    ]  # fmt: skip
    write_picture(path, panel(pictures))


def write_reliability(path: Path, found: Mapping[str, Any]) -> None:
    """Write a reliability diagram, and delta1 of the most confident shares, as .png.

    Args:
        found: result of `ConfidenceFigures.figures`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    tenths = found["tenths"]
    said, meant, sizes = ([each[name] for each in tenths] for name in ("confidence", "delta1", "share"))
    left.plot([0, 1], [0, 1], color="gray", linewidth=1)
    left.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color="gray", alpha=0.15, label="within 0.05")
    left.scatter(said, meant, [20 + 600 * size for size in sizes], label="tenths, sized by their pixels")
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="delta1", title="reliability")
    left.legend(loc="upper left")
    shares = {float(share): row for share, row in found["shares"].items()}
    right.plot([100 * share for share in shares], [row["delta1"] for row in shares.values()], marker="o")
    right.axhline(found["delta1"], color="gray", linewidth=1)
    right.set(xlabel="most confident share of the pixels [%]", ylabel="delta1", title="what it sorts")
    write_figure(path, figure)
