"""Modules of this package as child processes on an isolated ROS domain, for the demo and the benchmark."""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fastdepth_ros.errors import FastDepthError

DOMAINS = 100  # 1 to 100: the ports of higher ones are those that Linux gives to clients
_turn = itertools.count(random.randrange(DOMAINS))  # what has just ended may be heard for a moment: no domain twice


@contextmanager
def isolated_domain(log_folder: Path) -> Iterator[int]:
    """Isolate the ROS graph of this process and its children: this machine only, on a domain of their own.

    Yields:
        The domain. No other process that asks here gets it meanwhile.

    Raises:
        FastDepthError: none is free.
    """
    locks = (_lock_of(next(_turn) % DOMAINS + 1) for _ in range(DOMAINS))
    number, lock = next((found for found in locks if found), (0, None))
    if lock is None:
        raise FastDepthError(
            f"each ROS domain from 1 to {DOMAINS} has a demo, a benchmark or a test", "end some of them"
        )
    variables = {
        "ROS_DOMAIN_ID": str(number),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOCALHOST_ONLY": "1",  # its name in Humble
        "ROS_LOG_DIR": str(log_folder.resolve()),
    }
    before = {name: os.environ.pop(name, None) for name in variables}
    os.environ.update(variables)
    try:
        with lock:
            yield number
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _lock_of(domain: int) -> tuple[int, IO[str]] | None:
    """A domain and its lock, which lasts until the file is closed; None where another process has it."""
    path = Path(tempfile.gettempdir(), f"fastdepth_domain_{domain}")
    if not path.exists():
        path.touch()
    lock = path.open()  # to read: it may be of another user
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return domain, lock


def node_module(remappings: Mapping[str, str], parameters: Mapping[str, Any]) -> list[str]:
    """Arguments of `python -m` that run a node."""
    given = [part for name, value in remappings.items() for part in ("-r", f"{name}:={value}")]
    for name, value in parameters.items():
        given += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
    return ["fastdepth_ros.node.node", "--ros-args", *given]


@contextmanager
def run_module(module: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module...`; at the end it gets SIGINT, and SIGKILL if it still runs after 15 s."""
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", *module], stdout=output, stderr=subprocess.STDOUT)
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
