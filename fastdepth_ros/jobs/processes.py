"""Modules of this package as child processes on an isolated ROS domain, for the demo and the benchmark."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def isolated_domain(log_folder: Path) -> dict[str, str]:
    """Environment variables that isolate a ROS graph: a random domain, this machine only."""
    return {
        "ROS_DOMAIN_ID": str(random.randint(1, 100)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOCALHOST_ONLY": "1",  # its name in Humble
        "ROS_LOG_DIR": str(log_folder.resolve()),
    }


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
