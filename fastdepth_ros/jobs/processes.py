"""Modules of the package as processes on their own ROS domain, for demo and benchmark."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def own_domain(log_folder: Path) -> dict[str, str]:
    """The environment's part that keeps a graph on this machine, among its own."""
    return {
        "ROS_DOMAIN_ID": str(random.randint(1, 100)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOCALHOST_ONLY": "1",  # what Humble calls it
        "ROS_LOG_DIR": str(log_folder.resolve()),
    }


@contextmanager
def module_running(
    module: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module...`; ended as Ctrl-C would, killed if it does not listen."""
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
