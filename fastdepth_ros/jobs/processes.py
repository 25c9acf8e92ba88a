"""Modules of this package as child processes on an isolated ROS domain, for the demo and the benchmark."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def isolated_domain(log_folder: Path) -> dict[str, str]:
    """Environment variables that isolate a ROS graph: a random domain, this machine only."""
    return {
        "ROS_DOMAIN_ID": str(random.randint(1, 100)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOCALHOST_ONLY": "1",  # its name in Humble
        "ROS_LOG_DIR": str(log_folder.resolve()),
    }


def node_module(remappings: Mapping[str, str], parameters: Mapping[str, Any]) -> list[str]:
    """Arguments of `python -m` that run a node."""
    given = [part for name, value in remappings.items() for part in ("-r", f"{name}:={value}")]
    for name, value in parameters.items():
        given += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
    return ["fastdepth_ros.node.node", "--ros-args", *given]


@contextmanager
def run_module(module: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module...`; at the end it gets SIGINT, and SIGKILL if it still runs after 15 s."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that keeps a core busy, as a neighbor of what is measured."""
    with subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) as process:
        try:
            yield process
        finally:
            process.kill()
