"""A call that hangs is given up, the backend loaded anew once, then the process has to end."""

from __future__ import annotations

import threading
import time

import pytest
from ros_graph import wait_until

from fastdepth_ros.backends import BackendError
from fastdepth_ros.node.engine import run_with_deadline
from fastdepth_ros.node.worker import BackendLost, Watchdog


class Engine:
    """Hangs on "hang" until `released` is set."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.replaced = self.abandoned = self.loads = 0
        self.released = threading.Event()
        self.loading_fails = False

    def work(self, item: str) -> None:
        if item == "hang":
            self.released.wait(20)
        self.done.append(item)

    def watchdog(self, load_deadline_s: float = 10.0) -> Watchdog:
        def replaced() -> None:
            self.replaced += 1

        def abandon() -> None:
            self.abandoned += 1

        def load() -> None:
            self.loads += 1
            if self.loading_fails:
                raise BackendError("no device any more")

        return Watchdog(self.work, replaced, abandon, load, 0.1, load_deadline_s)


def hang(watchdog: Watchdog) -> None:
    watchdog.offer("hang")
    wait_until(lambda: watchdog.busy_s > 0.1, "the call to be overdue")


def test_a_frame_that_hangs_is_given_up_and_the_next_done_after_a_load():
    engine = Engine()
    watchdog = engine.watchdog()
    watchdog.offer("first")
    wait_until(lambda: engine.done == ["first"], "work")
    hang(watchdog)
    watchdog.offer("waits")
    watchdog.check()
    wait_until(lambda: engine.done == ["first", "waits"], "work on the new thread")
    assert (engine.abandoned, engine.loads, engine.replaced) == (1, 1, 0)
    assert not watchdog.reloading
    watchdog.check()
    engine.released.set()
    assert watchdog.stop()


def test_the_second_hang_ends_it():
    engine = Engine()
    watchdog = engine.watchdog()
    hang(watchdog)
    watchdog.check()
    wait_until(lambda: not watchdog.reloading, "the load")
    hang(watchdog)
    with pytest.raises(BackendLost, match="hangs again"):
        watchdog.check()
    engine.released.set()


def test_a_backend_that_cannot_be_loaded_anew_ends_it_with_the_reason():
    engine = Engine()
    engine.loading_fails = True
    watchdog = engine.watchdog()
    hang(watchdog)
    watchdog.check()
    wait_until(lambda: not watchdog.reloading, "the load")
    with pytest.raises(BackendLost, match="no device any more"):
        watchdog.check()
    engine.released.set()


def test_without_a_deadline_a_call_may_take_as_long_as_it_likes():
    engine = Engine()
    watchdog = engine.watchdog()
    watchdog.deadline_s = 0.0
    hang(watchdog)
    watchdog.check()
    assert engine.abandoned == 0
    engine.released.set()
    assert watchdog.stop() and engine.done == ["hang"]


def test_what_is_loaded_beside_gives_its_result_or_its_error_or_is_late():
    calls = []
    assert run_with_deadline(lambda: time.sleep(0.1) or 7, 10.0, lambda: calls.append(1)) == 7
    assert len(calls) > 2
    with pytest.raises(BackendError, match="no such thing"):
        run_with_deadline(lambda: (_ for _ in ()).throw(BackendError("no such thing")), 10.0)
    released = threading.Event()
    with pytest.raises(BackendError, match="load_deadline_s"):
        run_with_deadline(released.wait, 0.05)
    released.set()


def test_what_a_broken_installation_raises_is_an_answer_with_its_type():
    for kind in (ImportError, RuntimeError, SystemError, SystemExit):
        with pytest.raises(BackendError, match=f"{kind.__name__}: no libopenvino.so"):
            run_with_deadline(lambda kind=kind: (_ for _ in ()).throw(kind("no libopenvino.so")), 10.0)
