"""TVM's tracker, its servers and what measures with them, as real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Processes:
    """A tracker, servers of the key "dev" and others, each in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._folder, self._running = folder, []

    def start(self, name: str, *arguments: str) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TVM_NUM_THREADS": "1"}
        with (self._folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], stdout=log, stderr=log, env=environment, start_new_session=True
            )  # fmt: skip
        self._running.append(process)
        return process

    def tracker(self) -> subprocess.Popen:
        ports = "--port", str(self.port), "--port-end", str(self.port + 1)
        return self.start("tracker", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", *ports)

    def server(self) -> subprocess.Popen:
        where = "--host", "127.0.0.1", "--tracker", f"127.0.0.1:{self.port}"
        return self.start("server", "tvm.exec.rpc_server", *where, "--key", "dev")

    def log(self, name: str) -> str:
        path = self._folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    @staticmethod
    def kill(process: subprocess.Popen) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        for process in self._running:
            self.kill(process)


def wait_for(happened: Callable[[], bool], what: str, limit_s: float = 900) -> None:
    until = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < until, f"no {what} within {limit_s} s"
        time.sleep(0.2)
