"""Cost of a network: multiply-accumulates, weights, or milliseconds by a lookup table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.shapes import layer_shapes
from fastdepth_ros.prune.table import LatencyTable

RESOURCES = ("macs", "weights", "latency")


@dataclass(frozen=True)
class Resource:
    """One kind of cost.

    Attributes:
        cost: of a channel list, in `unit`.
    """

    name: str
    unit: str
    cost: Callable[[Channels], float]


def resource(name: str, table: LatencyTable | None = None) -> Resource:
    """A resource by name.

    Args:
        table: what "latency" looks layers up in.

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
