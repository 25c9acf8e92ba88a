"""A lookup table of TVM's kernels, measured here or over RPC on the robot's own computer.

TVM's code upsamples and adds while it reads, so a network there is its convolutions and nothing between them. Each runs
with the tile that it has untuned, in a process of its own or on the device.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from tqdm import tqdm
from tvm import rpc
from tvm.runtime.vm import VirtualMachine

from fastdepth_ros.backends.tvm import installed_versions
from fastdepth_ros.bench.machine import processor_name
from fastdepth_ros.deploy.compile import write_library
from fastdepth_ros.deploy.export import write_onnx
from fastdepth_ros.deploy.schedules import tiles
from fastdepth_ros.deploy.steps import Plan, Step, read_plan
from fastdepth_ros.deploy.targets import BuildTarget
from fastdepth_ros.deploy.tune import EVALUATOR, TIMEOUT_S, Device, Meter
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import Channels, LayerShape, layer_shapes
from fastdepth_ros.nn.network import FastDepth, initialize
from fastdepth_ros.prune.measure import HEAD_PX, checked, grid
from fastdepth_ros.prune.resources import LatencyTable, place

SHARES = (0.25, 0.5, 1.0)  # fewer than for an engine: each kernel is compiled first


def measure_tvm(
    channels: Channels, target: BuildTarget, device: Device, threads: int = 0, *, multiple: int = 8,
    shares: Iterable[float] = SHARES,
) -> LatencyTable:  # fmt: skip
    """A table for a network and all that can be pruned from it, and whole networks' times.

    Args:
        channels: the largest that will be asked for.
        device: place where the code runs.
        threads: threads of this machine, 0 for all; a device's server has its own TVM_NUM_THREADS.
        multiple: number that divides the channel counts.
        shares: measured shares of each layer's channels.

    Raises:
        FastDepthError: as the message says.
        FastDepthError: a kernel does not run, or no device comes.
    """
    if threads and device.host:
        raise FastDepthError(
            "a device's server has its own threads: start it with TVM_NUM_THREADS, without --threads here"
        )
    if threads:
        os.environ["TVM_NUM_THREADS"] = str(threads)
    plan = _plan(channels)
    meter = Meter(target, device)
    like = dict(zip(map(place, _convolutions(layer_shapes(channels, head_px=HEAD_PX))), plan.steps))
    rows = {}
    for shape in tqdm(_convolutions(grid(channels, multiple, shares)), desc=f"measuring {target.name}", unit="layer"):
        step = _step(like[place(shape)], shape)
        trial = meter.measure(step, tiles(step, target.hardware.lanes, target.hardware.registers)[0])
        if trial.ms is None:
            raise FastDepthError(f"{trial.kernel} does not run: {trial.error}")
        rows[shape] = trial.ms
    where = f"{device.key} at {device.host}:{device.port}" if device.host else processor_name()
    table = LatencyTable(rows, where, f"tvm {installed_versions()['tvm']} {target.name}", threads, HEAD_PX)
    for name, each in checked(channels, multiple).items():
        table.network_ms[name] = _network_ms(_plan(each), target, device)
    return table


def _convolutions(shapes: Iterable[LayerShape]) -> list[LayerShape]:
    return [shape for shape in shapes if shape.kind != "upsample"]


def _plan(channels: Channels) -> Plan:
    network = FastDepth(channels)
    initialize(network)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(network.eval(), path)
        return read_plan(path)


def _step(like: Step, shape: LayerShape) -> Step:
    """The step at the same place of the network, with other channels."""
    inputs = 1 if like.depthwise else shape.in_channels
    weight = np.random.default_rng(0).standard_normal((shape.out_channels, inputs, shape.kernel, shape.kernel))
    return replace(like, weight=weight.astype(np.float32), bias=np.zeros(shape.out_channels, np.float32))


def _network_ms(plan: Plan, target: BuildTarget, device: Device) -> float:
    """Median milliseconds of the whole network, on the device as its kernels."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "network.so"
        write_library(plan, target, {}, library)
        try:
            return _timed(library, plan.size_px, target, device)
        except RuntimeError as error:
            raise FastDepthError(
                f"the whole network does not run on {device.key or 'this machine'}: {error}"
            ) from error


def _timed(library: Path, size_px: int, target: BuildTarget, device: Device) -> float:
    logging.getLogger("RPCServer").setLevel(logging.WARNING)  # it tells of every file
    session = rpc.LocalSession()
    if device.host:
        session = rpc.connect_tracker(device.host, device.port).request(device.key, session_timeout=TIMEOUT_S)
    session.upload(bytearray(library.read_bytes()), library.name)  # of a path it would leave the file open
    processor = session.device(target.device)
    network = VirtualMachine(session.load_module(library.name), processor)
    image = np.zeros((1, size_px, size_px, 3), np.uint8)
    network.set_input("main", tvm.runtime.tensor(image, processor))
    timed = network.time_evaluator(
        "invoke_stateful", processor, EVALUATOR.number, EVALUATOR.repeat, EVALUATOR.min_repeat_ms
    )
    return 1e3 * timed("main").median
