"""Calibration of the scale on a recording, by a depth sensor or a known distance; its plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rosbags.highlevel import AnyReader
from tqdm import tqdm

from fastdepth_ros.bags.inspect import inspect_bag
from fastdepth_ros.bags.reader import BagError, message_from, open_bag
from fastdepth_ros.bags.request import Estimate, Request, Task
from fastdepth_ros.bags.worker import read_window
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.frame import FrameError, decode_message
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUARTILES = (25, 50, 75)
BINS = 120  # of the plot, along each axis
METRIC_SPREAD = 0.15  # of scale and shift over the frames, up to which a network is taken to be in meters
FEWEST_PIXELS = 20  # of a frame that scale and shift are fitted to
CENTER_SHARE = 0.1  # of the sides of the depth image: default region of a known distance


@dataclass(frozen=True)
class Distance:
    """A known distance along the optical axis.

    Args:
        meters: distance of the surface in the region.
        region: left, top, width, height in frame pixels; None: the middle tenth of the depth image.
    """

    meters: float
    region: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.meters < np.inf:
            raise FastDepthError(f"a distance of {self.meters} m makes no sense")

    def truth(self, result: DepthResult, frame_shape: tuple[int, int]) -> np.ndarray:
        """float32 HxW on the depth's grid, 0 outside of the region.

        Raises:
            FrameError: the region lies outside of the depth image, or the frame.
        """
        truth = np.zeros(result.depth.shape, np.float32)
        truth[self._rows_and_columns(result, frame_shape)] = self.meters
        if not truth.any():
            raise FrameError(f"region {self.region} lies outside of the field of view")
        return truth

    def _rows_and_columns(self, result: DepthResult, frame_shape: tuple[int, int]) -> tuple[slice, slice]:
        if self.region is None:
            edges = [(size * (1 - CENTER_SHARE) / 2, size * (1 + CENTER_SHARE) / 2) for size in result.depth.shape]
        else:
            left, top, width, height = self.region
            if min(left, top) < 0 or left + width > frame_shape[1] or top + height > frame_shape[0]:
                raise FrameError(f"region {self.region} lies outside of the {frame_shape[1]}x{frame_shape[0]} frame")
            corners = np.array([[left - 0.5, top - 0.5, 1], [left + width - 0.5, top + height - 0.5, 1]])
            (x0, y0), (x1, y1) = (corners @ result.from_frame.T)[:, :2] + 0.5
            edges = [(y0, y1), (x0, x1)]
        rows, columns = (slice(max(round(low), 0), max(round(high), 0)) for low, high in edges)
        return rows, columns


class Measured(NamedTuple):
    """Pixels of one frame that have a depth and a truth.

    Args:
        depth: (pixels,) unscaled depth of the network, meters.
        truth: (pixels,) meters.
        auto: focal scale of the frame's camera; None if unknown.
    """

    depth: np.ndarray
    truth: np.ndarray
    auto: float | None

    @property
    def ratios(self) -> np.ndarray:
        return self.truth / self.depth


class Measurement(NamedTuple):
    """Comparison of a recording.

    Args:
        frames: frames that could be compared.
        unmeasured: number of the others, by reason.
        notes: remarks for the user on the bag.
    """

    frames: list[Measured]
    unmeasured: dict[str, int]
    notes: tuple[str, ...]


def measure(path: Path, request: Request, distance: Distance | None) -> Measurement:
    """Compare the frames of a bag that a request selects with its truth, or with a distance.

    Args:
        request: its recipe scales depth as `focal_scale` auto does.

    Raises:
        BagError: the bag cannot be read, or lacks what the request names.
    """
    opened, estimate = inspect_bag(path, request), request.recipe.estimator()
    measured: list[Measured] = []
    unmeasured: dict[str, int] = {}
    total = sum(len(window.kept) for window in opened.windows)
    with open_bag(path) as reader, tqdm(total=total, unit="frame", delay=0.5) as progress:
        for window in opened.windows:
            task = Task(request, opened.source, window, (), path)
            for frame in _compared(reader, task, estimate, distance):
                progress.update()
                if isinstance(frame, Measured):
                    measured.append(frame)
                else:
                    unmeasured[frame] = unmeasured.get(frame, 0) + 1
    return Measurement(measured, unmeasured, opened.notes)


def fit(measured: list[Measured]) -> dict[str, Any]:
    """Scale and its spread.

    Returns:
        scale (median over all pixels of truth over depth, each frame weighing the same), iqr (its quartiles), by_frame
        (5th, 50th and 95th percentile of the frames' own medians), frames, pixels, auto (median focal scale of the
        cameras, None where unknown).

    Raises:
        BagError: no frame was measured.
    """
    if not measured:
        raise BagError("no frame could be compared with the truth")
    by_frame = [frame.ratios for frame in measured]
    medians = [float(np.median(ratios)) for ratios in by_frame]
    weights = np.concatenate([np.full(len(ratios), 1 / len(ratios)) for ratios in by_frame])
    lower, scale, upper = _weighted_percentiles(np.concatenate(by_frame), weights, QUARTILES)
    autos = [frame.auto for frame in measured if frame.auto is not None]
    return {
        "scale": scale,
        "iqr": [lower, upper],
        "by_frame": dict(zip(("p05", "median", "p95"), np.percentile(medians, (5, 50, 95)).tolist())),
        "frames": len(measured),
        "pixels": len(weights),
        "auto": float(np.median(autos)) if autos else None,
    }


def fit_inverse(measured: list[Measured], network: Network) -> dict[str, Any]:
    """Scale and shift of an inverse depth d, 1/z = scale d + shift, and how far the frames' own ones are apart.

    Args:
        measured: depth by the present scale and shift of `network`.

    Returns:
        scale, shift (medians of the frames' own, each fitted by least absolute differences in 1/z), spread (by how much
        the depth by a frame's own pair differs from that by the medians: median over its pixels, nine of ten frames
        differ by less), metric (the spread is at most `METRIC_SPREAD`), frames, pixels.

    Raises:
        BagError: no frame has enough different depths for a fit.
    """
    given = [(frame, (1 / frame.depth - network.shift) / network.scale) for frame in measured]
    usable = [(frame, d) for frame, d in given if d.size >= FEWEST_PIXELS and np.ptp(d) > 1e-6 * np.abs(d).max()]
    if not usable:
        raise BagError("no frame has a truth at different depths, which scale and shift need")
    pairs = np.array([least_absolute(d, 1 / frame.truth) for frame, d in usable])
    scale, shift = np.median(pairs, axis=0)
    apart = []
    for (_, d), (own_scale, own_shift) in zip(usable, pairs):
        common, own = scale * d + shift, own_scale * d + own_shift
        known = (common > 0) & (own > 0)
        apart.append(float(np.median(np.abs(common[known] / own[known] - 1))) if known.any() else np.inf)
    spread = min(float(np.percentile(apart, 90)), 1e3)
    return {
        "scale": float(scale), "shift": float(shift), "spread": spread, "metric": bool(spread <= METRIC_SPREAD),
        "frames": len(usable), "pixels": sum(d.size for _, d in usable),
    }  # fmt: skip


def least_absolute(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset of y over x with the least absolute differences, which a few wrong pixels do not move.

    >>> x = np.arange(9.0)
    >>> slope, offset = least_absolute(x, np.where(x == 4, 100, 2 * x + 1))
    >>> round(slope, 3), round(offset, 3)
    (2.0, 1.0)
    """
    x, y = x.astype(float), y.astype(float)
    weights = np.ones_like(x)
    slope = offset = 0.0
    for _ in range(30):
        mean_x, mean_y = np.average(x, weights=weights), np.average(y, weights=weights)
        slope = float((weights * (x - mean_x) * (y - mean_y)).sum() / (weights * (x - mean_x) ** 2).sum())
        offset = float(mean_y - slope * mean_x)
        off = np.abs(y - slope * x - offset)
        weights = 1 / np.maximum(off, 1e-4 * np.abs(y).mean() + 1e-12)
    return slope, offset


def _compared(reader: AnyReader, task: Task, estimate: Estimate, distance: Distance | None) -> Iterator[Measured | str]:
    """Frames of one window, or the reasons why they could not be measured."""
    contents, bits = read_window(reader, task), task.sensor()
    for record in contents.records:
        message = message_from(reader, record.connection, record.raw)
        try:
            frame = decode_message(message, bits)
            stamp, shape = stamp_ns(message), frame.pixels.shape[:2]
            k = contents.camera_infos.at(stamp, shape).matrix
            result = estimate(frame, k)
            if distance is not None:
                truth = distance.truth(result, shape)
            else:
                assert contents.sensor is not None, "neither a truth topic nor a distance"
                truth, _ = contents.sensor.truth(stamp, result, shape, k)
        except FrameError as error:
            yield str(error)
            continue
        known = (truth > 0) & np.isfinite(result.depth)
        if known.any():
            auto = None if result.unscaled else result.focal_scale
            yield Measured(result.depth[known] / result.focal_scale, truth[known], auto)
        else:
            yield "truth and depth have no pixel in common"


def _weighted_percentiles(values: np.ndarray, weights: np.ndarray, percents: tuple[int, ...]) -> list[float]:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(share, np.array(percents) / 100)
    return values[order][np.minimum(places, len(values) - 1)].astype(float).tolist()


def calibration_plot(measured: Sequence[Measured], figures: Mapping[str, Any]) -> Figure:
    """Number of pixels by their truth and depth, beside the scale; the frames' own scales.

    Args:
        figures: result of `fit`.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
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
    return figure
