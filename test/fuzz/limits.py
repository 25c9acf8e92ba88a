"""A child process that must neither die, nor hang, nor take memory without end."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_MEMORY = 1 << 30  # beyond what the process has when it starts
MOST_SECONDS = 20


class HangError(Exception):
    """One input took over MOST_SECONDS."""


def limit_memory() -> None:
    """Make allocations beyond MOST_MEMORY in total fail from here on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextmanager
def deadline() -> Iterator[None]:
    """Raise HangError where the block takes too long in Python; one that hangs in C, the alarm's default ends."""
    signal.signal(signal.SIGALRM, _hung)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def in_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run it in a process of its own, under both limits.

    Raises:
        AssertionError: the process died; says by which signal.
    """
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe()
    process = context.Process(target=_child, args=(ours, work, arguments))
    process.start()
    ours.close()
    try:
        kind, result = theirs.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"the process died, exit code {process.exitcode}") from None
    process.join()
    if kind == "failed":
        raise AssertionError(result)
    return result


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(pipe: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import traceback

    try:
        pipe.send(("done", work(*arguments)))
    except BaseException:
        pipe.send(("failed", traceback.format_exc()))


def _hung(signum: int, frame: Any) -> None:
    raise HangError(f"over {MOST_SECONDS} s")
