"""Subjects that the tests of the harness time, importable by another process."""

from __future__ import annotations

import os
import time
from functools import partial

from fastdepth_ros.bench.subject import Loaded


def load_sleep(seconds: float) -> Loaded:
    return Loaded(partial(time.sleep, seconds), f"sleep {os.environ.get('OMP_NUM_THREADS')}")


def load_work(seconds: float) -> Loaded:
    def run() -> None:
        started = time.process_time()
        while time.process_time() - started < seconds:
            pass

    return Loaded(run, "work")


def load_nothing() -> Loaded:
    raise RuntimeError("no such network")


def load_crash() -> Loaded:
    return Loaded(partial(os._exit, 7), "crash")


def load_failing() -> Loaded:
    return Loaded([].pop, "failing")
