"""Files that an evaluation writes: a table of the errors of each image, and pictures of chosen images."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fastdepth_ros.backends import Backend
from fastdepth_ros.data.datasets import Dataset
from fastdepth_ros.depth.network import Network
from fastdepth_ros.jobs.atomic_io import atomic_file
from fastdepth_ros.metrics.depth import NAMES
from fastdepth_ros.pictures.image_files import write_picture
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
