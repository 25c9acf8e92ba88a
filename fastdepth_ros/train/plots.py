"""Pictures of a run: the learning curve, and samples of the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.pictures.image_files import write_figure, write_picture
from fastdepth_ros.pictures.panel import PanelRow, panel


def write_learning_curve(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Loss and held-out delta1 over the epochs, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    loss_axis = figure.add_subplot()
    loss_axis.plot(epochs, [row["loss"] for row in rows], color="tab:blue")
    loss_axis.set_xlabel("epoch")
    loss_axis.set_ylabel("training loss", color="tab:blue")
    if "delta1" in rows[0]:
        delta_axis = loss_axis.twinx()
        delta_axis.plot(epochs, [row["delta1"] for row in rows], color="tab:orange")
        delta_axis.set_ylabel("held-out delta1", color="tab:orange")
        delta_axis.set_ylim(0, 1)
    write_figure(path, figure)


def write_samples(
    path: Path, views: Sequence[np.ndarray], depths: Sequence[np.ndarray], truths: Sequence[np.ndarray]
) -> None:
    """A panel of network inputs (uint8 RGB) with predicted and true depth of the same view, as PNG."""
    rows = [
        PanelRow(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), {"depth": depth, "truth": truth})
        for rgb, depth, truth in zip(views, depths, truths)
    ]
    write_picture(path, panel(rows))
