"""Worker pools with one interface: processes of this machine, or of a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Pool(Generic[Task, Result]):
    """Worker pool.

    Args:
        submit: runs a task in a worker.
        width: number of tasks that run at once.
    """

    submit: Callable[[Task], Future[Result]]
    width: int


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Work(Generic[Task, Result]):
    """Functions that a pool's workers call; each must be importable by name.

    Args:
        run: function called for each task.
        prepare: function called in each worker process before its tasks, possibly more than once.
        finish: function called at the end of a pool whose only worker is a thread of this process.
    """

    run: Callable[[Task], Result]
    prepare: Callable[[], None] = _nothing
    finish: Callable[[], None] = _nothing


@contextmanager
def local_pool(work: Work[Task, Result], workers: int) -> Iterator[Pool[Task, Result]]:
    """Pool of processes on this machine, which end with this process; a pool of one worker is a thread."""
    if workers == 1:
        with ThreadPoolExecutor(1) as thread:
            try:
                yield Pool(lambda task: thread.submit(work.run, task), 1)
            finally:
                thread.submit(work.finish)
        return
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=(work.prepare,))
    try:
        yield Pool(lambda task: executor.submit(work.run, task), workers)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def ray_pool(work: Work[Task, Result], address: str) -> Iterator[Pool[Task, Result]]:
    """Pool of the CPUs of a Ray cluster, whose nodes see all files under the same paths.

    Args:
        address: address of the head node; "auto": cluster of this machine.

    Raises:
        ConnectionError: there is no cluster at the address.
    """
    import ray

    with redirect_stdout(sys.stderr):  # Ray prints what happens to its nodes
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            remote: Any = ray.remote(num_cpus=1, max_retries=3)(_on_node)  # a lost node's tasks go to another
            width = int(ray.cluster_resources().get("CPU", 1))
            yield Pool(lambda task: _local_future(remote.remote(work, task).future()), width)
        finally:
            ray.shutdown()


def _on_node(work: Work[Task, Result], task: Task) -> Result:
    work.prepare()
    return work.run(task)


def _local_future(of_ray: Future[Result]) -> Future[Result]:
    """Future with the errors that a process of this machine would raise."""
    future: Future[Result] = Future()

    def hand_over(done: Future[Result]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is None:
            future.set_result(done.result())
        else:
            future.set_exception(getattr(error, "cause", None) or BrokenExecutor(str(error)))

    of_ray.add_done_callback(hand_over)
    return future


def _start_worker(prepare: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it; tasks that run are completed
    prepare()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
