"""Measurement of a lookup table: every kind of layer of a network, at several numbers of channels, on one engine.

A layer alone costs more than within a network, by what the engine takes for one call and for the layout of its input.
So a layer that keeps the size of its map is timed in chains of two lengths, and the difference counts: a 1x1
convolution together with its mirror, half each. From the others the time of a graph that does nothing is subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median

import torch
from torch import Tensor, nn
from tqdm import tqdm

from fastdepth_ros.bench.machine import processor_name
from fastdepth_ros.nn.channels import INPUT_PX, SKIPS, Channels, LayerShape, layer_shapes
from fastdepth_ros.nn.checkpoints import folded
from fastdepth_ros.nn.deployed import traced_onnx
from fastdepth_ros.nn.layers import upsample
from fastdepth_ros.nn.network import FastDepth, initialize
from fastdepth_ros.prune.resources import LatencyTable
from fastdepth_ros.registry import Registry

Run = Callable[[], object]
ENGINES = Registry[Callable[[nn.Module, Tensor, int], Run]]("engine")  # of (module, input, threads)


def engine_version(name: str) -> str:
    """ "onnxruntime 1.31.0"; raises FastDepthError, with the known ones, for an unknown name."""
    ENGINES[name]
    return f"{name} {version('torch' if name == 'pytorch' else name)}"


@ENGINES.register("onnxruntime")
def with_onnxruntime(module: nn.Module, example: Tensor, threads: int) -> Run:
    import onnxruntime

    from fastdepth_ros.backends.onnxruntime import session_options

    session = onnxruntime.InferenceSession(
        traced_onnx(module, example), session_options(threads), providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: example.numpy()}
    return lambda: session.run(None, feed)


@ENGINES.register("openvino")
def with_openvino(module: nn.Module, example: Tensor, threads: int) -> Run:
    from fastdepth_ros.backends.openvino import shared_core

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        hints["INFERENCE_NUM_THREADS"] = str(threads)
    core = shared_core()
    request = core.compile_model(core.read_model(traced_onnx(module, example)), "CPU", hints).create_infer_request()
    array = example.numpy()
    return lambda: request.infer([array], share_inputs=True)


@ENGINES.register("pytorch")
def with_pytorch(module: nn.Module, example: Tensor, threads: int) -> Run:
    frozen = torch.jit.freeze(torch.jit.trace(module.eval(), example))

    def run() -> Tensor:
        with torch.inference_mode():
            return frozen(example)

    if threads:
        torch.set_num_threads(threads)
    return run


SKIP_SIDES = [INPUT_PX * 2**decoder // 64 for decoder in SKIPS.values()]  # of what is enlarged, then added to
HEAD_PX = 112  # deployed, the last convolution runs before the last upsampling
SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
SHORT, LONG = 1, 3  # links of the two chains
ROUNDS, MANY_ROUNDS, WARM_UP = 15, 100, 3


def measure(
    channels: Channels, engine: str, threads: int, *, multiple: int = 8, shares: Iterable[float] = SHARES
) -> LatencyTable:
    """A table for a network and all that can be pruned from it, and whole networks' times from the same run.

    Args:
        channels: the largest that will be asked for.
        engine: a name of `ENGINES`.
        threads: threads of the engine; 0 leaves the number to it.
        multiple: number that divides the channel counts.
        shares: measured shares of each layer's channels.

    Raises:
        ValueError: unknown engine.
    """
    name = engine_version(engine)

    def load(module: nn.Module, in_channels: int, height: int, width: int) -> Run:
        return ENGINES[engine](module, torch.rand(1, in_channels, height, width), threads)

    rows: dict[LayerShape, float] = {}
    shapes = grid(channels, multiple, shares)
    nothing = _median_ms([load(nn.ReLU(), 8, 8, 8)])[0]
    for shape in tqdm(shapes, desc=f"measuring {engine}", unit="layer"):
        size = (shape.in_channels, shape.in_h, shape.in_w)
        if _chains(shape):
            short, long = _median_ms([load(_chain(shape, links), *size) for links in (SHORT, LONG)])
            rows[shape] = max(0.0, (long - short) / (LONG - SHORT) / (2 if shape.kind == "conv" else 1))
        else:
            rows[shape] = max(0.0, _median_ms([load(_layer(shape), *size)])[0] - nothing)
    table = LatencyTable(rows, processor_name(), name, threads, HEAD_PX)
    networks = checked(channels, multiple)
    table.network_ms.update(zip(networks, networks_ms(networks.values(), engine, threads)))
    return table


def checked(channels: Channels, multiple: int) -> dict[str, Channels]:
    """The networks that a table is held against: the largest, and one of channels that it has to interpolate."""

    def thinner(counts: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(max(multiple, round(0.6 * count / multiple) * multiple) for count in counts)

    return {
        "whole network": channels,
        "with 0.6 of its channels": Channels(thinner(channels.encoder), thinner(channels.decoder)),
    }


def networks_ms(networks: Iterable[Channels], engine: str, threads: int, rounds: int = ROUNDS) -> list[float]:
    """Median milliseconds of whole networks with random weights, as they are deployed, their rounds interleaved."""
    runs = []
    for channels in networks:
        network = FastDepth(channels)
        initialize(network)
        module = _HalfResolution(folded(network.eval()))
        runs.append(ENGINES[engine](module, torch.rand(1, 3, INPUT_PX, INPUT_PX), threads))
    return _median_ms(runs, rounds)


def networks_ms_here(table: LatencyTable, networks: Iterable[Channels]) -> list[float]:
    """The same on the table's own engine; nothing where that or the table's device is not here."""
    engine = table.engine.partition(" ")[0]
    if (
        engine not in ENGINES
        or table.device != processor_name()
        or not find_spec("torch" if engine == "pytorch" else engine)
    ):
        return []
    return networks_ms(networks, engine, table.threads, MANY_ROUNDS)


def grid(channels: Channels, multiple: int, shares: Iterable[float] = SHARES) -> list[LayerShape]:
    """Layers to measure: at each place of the network every pair of input and output counts."""
    widest: dict[LayerShape, LayerShape] = {}
    for shape in layer_shapes(channels, head_px=HEAD_PX):
        place = shape._replace(in_channels=0, out_channels=min(shape.out_channels, 2))  # the head has one output
        other = widest.get(place, shape)
        widest[place] = shape._replace(
            in_channels=max(shape.in_channels, other.in_channels),
            out_channels=max(shape.out_channels, other.out_channels),
        )
    found = []
    for shape in widest.values():
        inputs = [3] if shape.in_channels == 3 else _counts(shape.in_channels, multiple, shares)
        if shape.kind != "conv":
            found += [shape._replace(in_channels=count, out_channels=count) for count in inputs]
            continue
        outputs = [1] if shape.out_channels == 1 else _counts(shape.out_channels, multiple, shares)
        found += [shape._replace(in_channels=i, out_channels=o) for i in inputs for o in outputs]
    return found


def _counts(most: int, multiple: int, shares: Iterable[float]) -> list[int]:
    return sorted({max(multiple, round(most * share / multiple) * multiple) for share in shares})


def _chains(shape: LayerShape) -> bool:
    if shape.kind == "conv":
        return shape.kernel == 1 and shape.out_channels > 1
    return shape.kind == "depthwise" and shape.stride == 1


def _chain(shape: LayerShape, links: int) -> nn.Sequential:
    link = [shape]
    if shape.kind == "conv":
        link.append(shape._replace(in_channels=shape.out_channels, out_channels=shape.in_channels))
    return nn.Sequential(*(_layer(each) for _ in range(links) for each in link))


def _layer(shape: LayerShape) -> nn.Module:
    if shape.kind == "upsample":
        return _Upsample(shape)
    groups = shape.in_channels if shape.kind == "depthwise" else 1
    convolution = nn.Conv2d(
        shape.in_channels, shape.out_channels, shape.kernel, shape.stride, shape.kernel // 2, groups=groups
    )
    return nn.Sequential(convolution, nn.ReLU())


class _Upsample(nn.Module):
    """Upsampling, with the skip's addition if the network has one there."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        size = (1, shape.out_channels, 2 * shape.in_h, 2 * shape.in_w)
        self.skip = nn.Parameter(torch.rand(size)) if shape.in_h in SKIP_SIDES else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        larger = upsample(x)
        return larger if self.skip is None else larger + self.skip


class _HalfResolution(nn.Module):
    def __init__(self, network: FastDepth) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return self.network.half_resolution(rgb)


def _median_ms(runs: list[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """Median time of each run in ms, its rounds interleaved with those of the others."""
    for run in runs * WARM_UP:
        run()
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, taken in zip(runs, times):
            start = time.perf_counter()
            run()
            taken.append(1000 * (time.perf_counter() - start))
    return [median(taken) for taken in times]
