"""Cost of a network: multiply-accumulates, weights, or milliseconds by a lookup table of layers.

A table says how long one layer of some shape takes on one device with one engine.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write
from fastdepth_ros.nn.channels import INPUT_PX, Channels, LayerShape, layer_shapes

VERSION = 1
COLUMNS = (*LayerShape._fields, "ms")


class Place(NamedTuple):
    """Place of a layer: all of its shape but the channels."""

    kind: str
    in_h: int
    in_w: int
    kernel: int
    stride: int
    one_output: bool


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of layer shapes, interpolated over channels.

    A shape that was measured costs what was measured. Another at the same place costs what lies on the line between its
    neighbors, where the measured counts form a grid. Where they do not, and beyond them, it costs what a least-squares
    fit of a + b inputs + c outputs + d inputs x outputs with no negative term says.

    Args:
        rows: measured layers.
        device, engine: machine and engine, for people; `threads` 0 where it is not known.
        head_px: the side at which the network's last convolution runs there.
        network_ms: whole networks that were measured in the same run, by name.
    """

    rows: dict[LayerShape, float]
    device: str
    engine: str
    threads: int = 0
    head_px: int = INPUT_PX
    network_ms: dict[str, float] = field(default_factory=dict)

    def ms(self, shape: LayerShape) -> float:
        """Raises FastDepthError where nothing at the shape's place was measured."""
        measured = self.rows.get(shape)
        if measured is not None:
            return measured
        if shape.kind == "upsample" and not any(row.kind == "upsample" for row in self.rows):
            return 0.0  # a table of convolutions alone
        where = place(shape)
        if where not in self._places:
            raise FastDepthError(
                f"the table of {self.engine} on {self.device} has no {shape.kind} {shape.kernel}x{shape.kernel} of "
                f"stride {shape.stride} at {shape.in_h}x{shape.in_w}"
            )
        return self._places[where](shape)

    def sum_ms(self, shapes: Iterable[LayerShape]) -> float:
        return math.fsum(map(self.ms, shapes))

    @cached_property
    def _places(self) -> dict[Place, Callable[[LayerShape], float]]:
        places: dict[Place, list[LayerShape]] = {}
        for shape in self.rows:
            places.setdefault(place(shape), []).append(shape)
        return {where: self._between(shapes) for where, shapes in places.items()}

    def _between(self, shapes: Sequence[LayerShape]) -> Callable[[LayerShape], float]:
        """Linear between measured counts that form a grid; as the fit goes beyond them, and where they form none."""
        from scipy.interpolate import RegularGridInterpolator

        fit = self._fit(shapes)
        names = ("in_channels", "out_channels") if shapes[0].kind == "conv" else ("in_channels",)
        axes = {name: sorted({getattr(shape, name) for shape in shapes}) for name in names}
        axes = {name: counts for name, counts in axes.items() if len(counts) > 1}
        if not axes or math.prod(map(len, axes.values())) != len(shapes):
            return fit
        ordered = sorted(shapes, key=lambda shape: [getattr(shape, name) for name in axes])
        measured = np.reshape([self.rows[shape] for shape in ordered], [len(counts) for counts in axes.values()])
        linear = RegularGridInterpolator(tuple(axes.values()), measured)

        def ms(shape: LayerShape) -> float:
            nearest = {name: min(max(getattr(shape, name), counts[0]), counts[-1]) for name, counts in axes.items()}
            inside, edge = float(linear(list(nearest.values()))[0]), fit(shape._replace(**nearest))
            return inside * fit(shape) / edge if edge else inside

        return ms

    def _fit(self, shapes: Sequence[LayerShape]) -> Callable[[LayerShape], float]:
        from scipy.optimize import nnls

        measured = np.array([self.rows[shape] for shape in shapes])
        weights = 1 / np.maximum(measured, 1e-6)  # relative errors count, not those of the largest layers
        factors = nnls(np.array([_terms(shape) for shape in shapes]) * weights[:, None], measured * weights)[0]
        return lambda shape: float(_terms(shape) @ factors)

    def save(self, path: Path) -> None:
        """Write JSON, whole or not at all."""
        content = {
            "version": VERSION, "device": self.device, "engine": self.engine, "threads": self.threads,
            "head_px": self.head_px, "network_ms": self.network_ms, "columns": COLUMNS,
            "rows": [[*shape, round(ms, 6)] for shape, ms in self.rows.items()],
        }  # fmt: skip
        atomic_write(path, json.dumps(content, indent=1))


def load_table(path: Path, network: str | None = None) -> LatencyTable:
    """A table of ours (JSON), or one of the columns ``network,kind,in_channels,...,ms`` (CSV).

    Args:
        network: network whose time to take in a CSV that has a shape more than once; without it, the mean.

    Raises:
        FastDepthError: missing, neither of the two, or with times that are no positive numbers.
    """
    try:
        table = _read_csv(path, network) if path.suffix == ".csv" else _read_json(path)
    except OSError as error:
        raise FastDepthError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FastDepthError(f"{path} is no table of layer times: {error!r}") from error
    if not table.rows:
        raise FastDepthError(f"{path} holds no row")
    wrong = [shape for shape, ms in table.rows.items() if not 0 <= ms < math.inf]
    if wrong:
        raise FastDepthError(f"{path}: {table.rows[wrong[0]]} ms of {wrong[0]} is no time")
    return table


def _read_json(path: Path) -> LatencyTable:
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["version"] != VERSION or tuple(content["columns"]) != COLUMNS:
        raise FastDepthError(f"version {content['version']} with the columns {content['columns']}")
    rows = {LayerShape(str(kind), *map(int, sizes)): float(ms) for kind, *sizes, ms in content["rows"]}
    known = ("device", "engine", "threads", "head_px", "network_ms")
    return LatencyTable(rows, **{name: content[name] for name in known})


def _read_csv(path: Path, network: str | None) -> LatencyTable:
    times: dict[LayerShape, dict[str, float]] = {}
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            times.setdefault(_shape(row), {})[row["network"]] = float(row["ms"])
    rows = {shape: by_network.get(network or "", fmean(by_network.values())) for shape, by_network in times.items()}
    return LatencyTable(rows, device=path.stem, engine="the engine of that file")


def _shape(row: dict[str, str]) -> LayerShape:
    return LayerShape(row["kind"], *(int(row[name]) for name in LayerShape._fields[1:]))


def place(shape: LayerShape) -> Place:
    return Place(shape.kind, shape.in_h, shape.in_w, shape.kernel, shape.stride, shape.out_channels == 1)


def _terms(shape: LayerShape) -> np.ndarray:
    inputs, outputs = shape.in_channels, shape.out_channels
    return np.array([1.0, inputs, outputs, inputs * outputs if shape.kind == "conv" else 0.0])


RESOURCES = ("macs", "weights", "latency")


@dataclass(frozen=True)
class Resource:
    """One kind of cost.

    Attributes:
        cost: cost of a channel list, in `unit`.
    """

    name: str
    unit: str
    cost: Callable[[Channels], float]


def resource(name: str, table: LatencyTable | None = None) -> Resource:
    """A resource by name.

    Args:
        table: table in which "latency" looks layers up.

    Raises:
        ValueError: unknown name, or latency without a table.
    """
    if name == "macs":
        return Resource(name, "MACs", lambda channels: sum(shape.macs for shape in layer_shapes(channels)))
    if name == "weights":
        return Resource(name, "weights", lambda channels: sum(shape.weights for shape in layer_shapes(channels)))
    if name != "latency":
        raise FastDepthError(f"unknown resource {name!r}, there is {', '.join(RESOURCES)}")
    if table is None:
        raise FastDepthError(
            "latency needs a table of layer times: measure one with --measure, or give one with --table"
        )
    return Resource(name, "ms", lambda channels: table.sum_ms(layer_shapes(channels, head_px=table.head_px)))
