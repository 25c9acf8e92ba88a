"""End of a process of nodes: withdraw, grace time, exit without destructors, and a hard watchdog."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode

from fastdepth_ros.node.shared_memory import MEMORY, SEGMENT_LOCK

EXIT_CODE = 3  # of a process whose backend hangs
SHUTDOWN_GRACE_S = 0.3  # for the last messages, and for discovery to say that the publishers are gone
SIGNAL_S = 0.5  # from a signal to the end of the context, which a thread of rclpy brings about


_executors: list[SingleThreadedExecutor] = []


def lasting_executor() -> SingleThreadedExecutor:
    """Executor that is never shut down or freed.

    On SIGINT a thread of rclpy triggers a guard condition of each executor. To free one meanwhile, as
    `Executor.shutdown` and `Executor.__del__` do, ended a stop now and then with SIGSEGV.
    """
    _executors.append(SingleThreadedExecutor())
    return _executors[-1]


def withdraw(node: LifecycleNode) -> None:
    """Destroy services and publishers, so that others do not wait for discovery to drop them after 20 s.

    The subscriptions stay. Threads of DDS call into them until the process is gone: destroying one while its
    publishers came and went ended the process with SIGSEGV now and then.
    """
    for service in list(node.services):
        node.destroy_service(service)
    for publisher in list(node.publishers):
        node.destroy_publisher(publisher)


def is_of_the_end(error: Exception) -> bool:
    """Whether an executor's error is caused by a signal that has ended the context, or is about to.

    An interrupt in the middle of a message's conversion leaves pybind11 as TypeError with the interrupt as its cause,
    or as RuntimeError before the context has ended.
    """
    if isinstance(error, ExternalShutdownException) or isinstance(error.__cause__, KeyboardInterrupt):
        return True
    deadline = time.monotonic() + SIGNAL_S
    while isinstance(error, RuntimeError) and rclpy.ok() and time.monotonic() < deadline:
        time.sleep(0.01)
    return isinstance(error, RuntimeError) and not rclpy.ok()


def spin_some(executor: Executor, timeout_s: float) -> None:
    """Spin once; an interrupt is a KeyboardInterrupt wherever it hits, also in a message's conversion."""
    try:
        executor.spin_once(timeout_sec=timeout_s)
    except Exception as error:
        if is_of_the_end(error):
            raise KeyboardInterrupt from error
        raise


def own_segments(pid: int) -> list[Path]:
    """Files of shared memory in which Fast DDS keeps what a process published: it holds the lock beside each."""
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:  # no Linux
        return []
    held = {
        place.rpartition(":")[2] for _, kind, _, _, owner, place, *_ in locks if (kind, owner) == ("FLOCK", str(pid))
    }
    found = []
    for path in MEMORY.glob("fastdds_*_el"):
        try:
            if (name := SEGMENT_LOCK.fullmatch(path.name)) and str(path.stat().st_ino) in held:
                found += [path, path.with_name(name[1])]
        except FileNotFoundError:  # another process ended meanwhile
            continue
    return found


def exit_now(code: int) -> NoReturn:
    """End the process without destructors; shared memory files are removed here. Each process would leave half
    a megabyte of memory, or 35 with config/shared_memory.xml, until the computer restarts."""
    sys.stdout.flush()
    sys.stderr.flush()
    for path in own_segments(os.getpid()):
        path.unlink(missing_ok=True)
    os._exit(code)


def end_process(nodes: Iterable[Any], code: int) -> NoReturn:
    """Let each node finish its work and withdraw, then end without destructors, of engines and of DDS alike.

    Args:
        nodes: nodes whose executors do not spin any more; each has `stop_work`.
        code: exit code; 1 in place of 0 where a node fails to finish.
    """
    for node in nodes:
        try:
            node.stop_work()
            withdraw(node)
        except Exception:  # the other nodes still have to finish
            traceback.print_exc()
            code = code or 1
    time.sleep(SHUTDOWN_GRACE_S)
    exit_now(code)


def ignore_interrupts() -> None:
    """Ignore SIGINT from now on: launch sends it more than once.

    One that came a moment ago may interrupt this too: it ends the context first, and Python's own handler runs later.
    """
    while signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        with suppress(KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupt_once() -> None:
    """Make the first SIGINT a KeyboardInterrupt, and nothing of those that follow: launch sends it more than once.

    It comes before `rclpy.init`, whose handler calls this one.
    """

    def interrupted(*_: Any) -> NoReturn:
        signal.signal(signal.SIGINT, lambda *_: None)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as in the background of a shell
        signal.signal(signal.SIGINT, interrupted)


def run_to_end(program: str, nodes: Sequence[Any], work: Callable[[], int]) -> NoReturn:
    """Do the work of a process of nodes, then end the process.

    Args:
        program: name that error messages begin with.
        nodes: nodes of the process, added as they are made.
        work: function that returns the exit code once the nodes no longer spin.
    """
    code = 0
    try:
        try:
            code = work()
        finally:
            ignore_interrupts()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"{program}: {error}", file=sys.stderr)
        code = 1
    except Exception as error:
        if not is_of_the_end(error):
            traceback.print_exc()
            code = 1
    arm_hard_watchdog(0)
    end_process(nodes, code)


def end_for(lost: Exception) -> NoReturn:
    """End a process whose backend hangs, with EXIT_CODE, so that launch starts it again."""
    print(f"fastdepth_ros: {lost}", file=sys.stderr, flush=True)
    time.sleep(SHUTDOWN_GRACE_S)
    exit_now(EXIT_CODE)


def arm_hard_watchdog(limit_s: float) -> None:
    """End the process unless this is called again in time: an engine may hang and keep all of Python from running.

    Args:
        limit_s: seconds; 0 disarms.
    """
    if limit_s:
        faulthandler.dump_traceback_later(limit_s, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()
