"""Plot that shows whether one factor corrects the depth: truth over depth, by distance and by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.bags.calibration import QUARTILES, Measured

BINS = 120


def calibration_picture(measured: Sequence[Measured], figures: Mapping[str, Any]) -> np.ndarray:
    """uint8 HxWx3 BGR: how many pixels have which truth and depth, beside the scale; the frames' own scales.

    Args:
        figures: as `calibration.fit` gives them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    pixels, frames = figure.subplots(1, 2)
    depth, truth = (np.concatenate(values) for values in zip(*((frame.depth, frame.truth) for frame in measured)))
    far_m = float(np.percentile(np.concatenate([depth, truth]), 99.5))
    edges = np.linspace(0, far_m, BINS)
    pixels.hist2d(depth, truth, bins=(edges, edges), norm=LogNorm(), cmap="Blues")
    lines = [(figures["scale"], "fit", "tab:red", "-"), (figures["auto"], "auto", "tab:green", "--")]
    for scale, name, color, style in lines:
        if scale is not None:
            label = f"{name}: {scale:.3f}"
            pixels.plot([0, far_m], [0, scale * far_m], color=color, linestyle=style, label=label)
            frames.axhline(scale, color=color, linestyle=style, label=label)
    pixels.set(xlim=(0, far_m), ylim=(0, far_m), xlabel="the network's depth [m]", ylabel="truth [m]", aspect="equal")
    pixels.legend(loc="lower right")
    lower, middle, upper = np.array([np.percentile(frame.ratios, QUARTILES) for frame in measured]).T
    error = [middle - lower, upper - middle]
    frames.errorbar(np.arange(len(middle)), middle, error, fmt="o", markersize=3, linewidth=0.8, color="tab:blue")
    frames.set(xlabel="frame", ylabel="truth / depth: median and quartiles", ylim=(0, None))
    frames.grid(alpha=0.3)
    canvas.draw()
    return cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR)
