"""Where the work is done: processes of this machine, or those of a Ray cluster; to the rest they look the same."""

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

from fastdepth_ros.bags.request import Task
from fastdepth_ros.bags.summary import Summary
from fastdepth_ros.bags.worker import end_tasks, one_core, run_task


@dataclass(frozen=True)
class Pool:
    """Takes tasks; `width` is how many run at once."""

    submit: Callable[[Task], Future[Summary]]
    width: int


def cores() -> int:
    """Of this machine that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def local(workers: int) -> Iterator[Pool]:
    """So many processes of this machine, each of which ends with this one, however that ends; one works in this."""
    if workers == 1:
        with ThreadPoolExecutor(1) as thread:
            try:
                yield Pool(lambda task: thread.submit(run_task, task), 1)
            finally:
                thread.submit(end_tasks)
        return
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield Pool(lambda task: executor.submit(run_task, task), workers)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """The CPUs of a Ray cluster. Its nodes see the bags, the model and the output under the same paths.

    Args:
        address: of the head, "auto" for the one this machine belongs to.

    Raises:
        ConnectionError: no cluster there.
    """
    import ray

    with redirect_stdout(sys.stderr):  # Ray prints what happens to its nodes
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            remote = ray.remote(num_cpus=1, max_retries=3)(_task_on_node)  # a lost node's tasks go to another
            width = int(ray.cluster_resources().get("CPU", 1))
            yield Pool(lambda task: _plain(remote.remote(task).future()), width)
        finally:
            ray.shutdown()


def _task_on_node(task: Task) -> Summary:
    one_core()
    return run_task(task)


def _plain(of_ray: Future[Summary]) -> Future[Summary]:
    """The same future, its errors as another process of this machine would raise them."""
    future: Future[Summary] = Future()

    def hand_over(done: Future[Summary]) -> None:
        error = done.exception()
        if error is None:
            future.set_result(done.result())
        else:
            future.set_exception(getattr(error, "cause", None) or BrokenExecutor(str(error)))

    of_ray.add_done_callback(hand_over)
    return future


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle; what is begun, ends
    one_core()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
