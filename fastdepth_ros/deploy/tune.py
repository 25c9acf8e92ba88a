"""Find the fastest tile of each kernel by measuring, here or over RPC on the device itself.

MetaSchedule's runners measure, in processes of their own: a candidate that crashes or hangs costs one trial.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Protocol

import tvm
from tqdm import tqdm
from tvm import rpc
from tvm.s_tir.meta_schedule.arg_info import TensorInfo
from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, LocalRunner, RPCConfig, RPCRunner, RunnerInput

from fastdepth_ros.deploy.compile import build
from fastdepth_ros.deploy.module import kernel_arguments, kernel_function, kernel_name, kernels
from fastdepth_ros.deploy.records import Records, Trial
from fastdepth_ros.deploy.schedules import Tile, schedule, tiles
from fastdepth_ros.deploy.steps import Plan, Step
from fastdepth_ros.deploy.targets import BuildTarget
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import available_cores

EVALUATOR = EvaluatorConfig(number=3, repeat=5, min_repeat_ms=10)
TIMEOUT_S = 30
DEVICE_WAIT_S = 600
POLL_S = 1.0
PROBE_S = 2.0


@dataclass(frozen=True)
class Device:
    """Device to measure on: by a tracker's key, or this machine if `host` is empty."""

    host: str = ""
    port: int = 0
    key: str = ""


def device_at(tracker: str, key: str, target: BuildTarget) -> Device:
    """The device of a key at a tracker, "HOST:PORT", or this machine where both are empty.

    Raises:
        FastDepthError: one of them without the other, no address, or no device for a target that does not run here.
    """
    if bool(tracker) != bool(key):
        raise FastDepthError("--tracker and --key belong together")
    if tracker:
        host, _, port = tracker.rpartition(":")
        if not host or not port.isdigit():
            raise FastDepthError(f"{tracker!r} is not HOST:PORT")
        return Device(host, int(port), key)
    if not target.runs_here:
        raise FastDepthError(
            f"{target.name} does not run on this machine: measure on the device, with --tracker and --key"
        )
    return Device()


class Runner(Protocol):
    def run(self, runner_inputs: list[RunnerInput]) -> list: ...


@dataclass(frozen=True)
class Layer:
    """One kernel in the report.

    Args:
        uses: calls per frame.
        guess_ms, best_ms: time of one call, with the guessed tile and with the fastest; None if never measured.
    """

    name: str
    uses: int
    macs: int
    trials: int
    guess_ms: float | None
    best_ms: float | None


def tune(
    plan: Plan, target: BuildTarget, records: Records, trials: int, device: Device,
    first: Mapping[str, Tile] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Measure until the records hold `trials` trials or every tile was tried; each is on disk when it is known.

    Args:
        first: tile by kernel that is tried before the guess, as the fastest on another machine.

    Raises:
        FastDepthError: no device of that key comes back within ten minutes.
        FastDepthError: the linker is missing.
    """
    hardware = target.hardware
    most = sum(len(tiles(step, hardware.lanes, hardware.registers)) for step in kernels(plan).values())
    trials = min(trials, most)
    left = trials - len(records.trials)
    if left <= 0:
        return
    meter = Meter(target, device)
    with tqdm(total=trials, initial=len(records.trials), unit="trial") as bar:
        for _, (step, tile) in zip(range(left), _candidates(plan, target, records, first)):
            records.add(meter.measure(step, tile))
            best = records.best()
            name = kernel_name(step)
            reached = f"{best[name].ms:.3f} ms" if name in best else "none runs"
            bar.set_postfix_str(f"{name}: {reached}; network {network_ms(plan, records):.2f} ms")
            bar.update()


def network_ms(plan: Plan, records: Records) -> float:
    """Sum of the best times of all kernels; those never measured count nothing."""
    best = records.best()
    return sum(best[name].ms or 0.0 for name in map(kernel_name, plan.steps) if name in best)


def report(plan: Plan, target: BuildTarget, records: Records) -> list[Layer]:
    """Results of tuning, in the order of the network."""
    uses = Counter(kernel_name(step) for step in plan.steps)
    tried = Counter(trial.kernel for trial in records.trials)
    times = {(trial.kernel, trial.tile): trial.ms for trial in records.trials}
    best = records.best()
    layers = []
    for name, step in kernels(plan).items():
        guess = tiles(step, target.hardware.lanes, target.hardware.registers)[0]
        best_ms = best[name].ms if name in best else None
        layers.append(Layer(name, uses[name], step.macs, tried[name], times.get((name, guess)), best_ms))
    return layers


def _candidates(
    plan: Plan, target: BuildTarget, records: Records, first: Mapping[str, Tile]
) -> Iterator[tuple[Step, Tile]]:
    """Next is the kernel where a trial promises most: much of the latency, few trials so far."""
    uses = Counter(kernel_name(step) for step in plan.steps)
    seen = {(trial.kernel, trial.tile) for trial in records.trials}
    tried = Counter(name for name, _ in seen)
    steps = kernels(plan)
    waiting = {name: iter(_untried(step, target, seen, first.get(name))) for name, step in steps.items()}
    while waiting:
        best = records.best()
        promises = {name: (_promise(best.get(name), uses[name], tried[name]), -tried[name]) for name in waiting}
        name = max(promises, key=promises.__getitem__)
        tile = next(waiting[name], None)
        if tile is None:
            del waiting[name]
        else:
            tried[name] += 1
            yield steps[name], tile


def _promise(best: Trial | None, uses: int, tried: int) -> float:
    """Milliseconds of a frame by trials so far; without limit while no tile runs."""
    return best.ms * uses / tried if best and best.ms else float("inf")


def _untried(step: Step, target: BuildTarget, seen: set[tuple[str, Tile]], first: Tile | None) -> list[Tile]:
    candidates = tiles(step, target.hardware.lanes, target.hardware.registers)
    candidates.sort(key=lambda tile: tile != first)  # the others stay in their order
    return [tile for tile in candidates if (kernel_name(step), tile) not in seen]


class Meter:
    """Builds one kernel with one tile and measures it."""

    def __init__(self, target: BuildTarget, device: Device) -> None:
        logging.getLogger("tvm").setLevel(logging.ERROR)
        os.environ.setdefault("TVM_NUM_THREADS", str(available_cores()))  # of the process that measures
        self._target, self._device = target, device
        self._runner = self._new_runner()

    def measure(self, step: Step, tile: Tile) -> Trial:
        name = kernel_name(step)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.so"
            try:
                function = schedule(kernel_function(step, self._target.hardware.lanes), step, tile)
                build(tvm.IRModule({"main": function}), self._target, path)
            except (FastDepthError, RuntimeError) as error:
                return Trial(name, tile, None, _first_line(error))
            while True:
                seconds, why = self._run(path, step)
                if seconds or not self._device.host or self._servers():
                    break
                self._wait_for_a_server()
        return Trial(name, tile, round(median(seconds) * 1e3, 6)) if seconds else Trial(name, tile, None, why)

    def _run(self, path: Path, step: Step) -> tuple[list[float], str]:
        arguments = [TensorInfo(dtype, shape) for shape, dtype in kernel_arguments(step, self._target.hardware.lanes)]
        (future,) = self._runner.run([RunnerInput(str(path), self._target.device, arguments)])
        result = future.result()
        if result.run_secs is None:
            return [], _first_line(result.error_msg)
        return [float(seconds) for seconds in result.run_secs], ""

    def _new_runner(self) -> Runner:
        if not self._device.host:
            return LocalRunner(timeout_sec=TIMEOUT_S, evaluator_config=EVALUATOR)
        if not self._servers():
            self._wait_for_a_server()
        return RPCRunner(self._config(), EVALUATOR)

    def _config(self) -> RPCConfig:
        return RPCConfig(self._device.host, self._device.port, self._device.key, session_timeout_sec=TIMEOUT_S)

    def _servers(self) -> int:
        """Number of devices that the tracker has for the key; 0 without a tracker."""
        address = self._device.host, self._device.port
        try:
            socket.create_connection(address, PROBE_S).close()  # TVM's own connection tries for a minute
            tracker = rpc.connect_tracker(*address)
            try:
                return sum(entry["key"].endswith(f":{self._device.key}") for entry in tracker.summary()["server_info"])
            finally:
                tracker.close()
        except (OSError, RuntimeError):
            return 0

    def _wait_for_a_server(self) -> None:
        where = f"{self._device.host}:{self._device.port}"
        tqdm.write(f"waiting for a device with key {self._device.key!r} at the tracker {where}")
        until = time.monotonic() + DEVICE_WAIT_S
        while not self._servers():
            if time.monotonic() > until:
                raise FastDepthError(f"no device with key {self._device.key!r} at {where}; the same command goes on")
            time.sleep(POLL_S)


def _first_line(error: object) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else type(error).__name__
