"""A backend that hangs: its call is abandoned, it is loaded anew once, then the process has to end."""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fastdepth_ros.backends import BackendError
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.worker import Item, NewestFirst

PERIOD_S = 0.1
MEANWHILE_S = 0.005
FAREWELL_S = 3.0
EXIT_CODE = 3
LOADING_ERRORS = (FastDepthError, OSError)
Result = TypeVar("Result")


class BackendLost(Exception):  # noqa: N818 (not an error of the caller's: the end of the process)
    """The backend hangs again or cannot be loaded anew: only another process can help."""


class Watchdog(Generic[Item]):
    """A worker on the newest item, replaced by another one where its work hangs.

    Args:
        work, replaced: as of NewestFirst.
        abandon: called when a call is given up; what it still may return has to be ignored.
        reload: loads the backend anew, on the next worker's thread.
        deadline_s: of one call of `work`; 0 waits for ever.
        load_deadline_s: of `reload`; 0 waits for ever.
    """

    def __init__(
        self,
        work: Callable[[Item], None],
        replaced: Callable[[], None],
        abandon: Callable[[], None],
        reload: Callable[[], None],
        deadline_s: float,
        load_deadline_s: float,
    ) -> None:
        self._work, self._replaced, self._abandon, self._reload = work, replaced, abandon, reload
        self.deadline_s, self.load_deadline_s = deadline_s, load_deadline_s
        self.reloading = False
        self._reloads = 0
        self._failure: Exception | None = None
        self._worker = NewestFirst(work, replaced)

    @property
    def busy_s(self) -> float:
        """Duration of the present call in seconds; 0.0 while the backend is loaded again."""
        return 0.0 if self.reloading else self._worker.busy_s

    def offer(self, item: Item) -> None:
        self._worker.offer(item)

    def stop(self) -> bool:
        """Stop as in NewestFirst; a call that hangs is abandoned."""
        stopped = self._worker.stop(min(self.deadline_s or 10.0, 10.0))
        if not stopped:
            self._abandon()
        return stopped

    def check(self) -> None:
        """Look after the worker, several times a second.

        Raises:
            BackendLost: it hung before, or loading it anew failed.
        """
        if self._failure is not None:
            raise BackendLost(f"the backend hung and cannot be loaded anew: {self._failure}")
        deadline_s = self.load_deadline_s if self.reloading else self.deadline_s
        if not deadline_s or self._worker.busy_s < deadline_s:
            return
        if self._reloads:
            what = "is not loaded anew" if self.reloading else "hangs again"
            raise BackendLost(f"the backend {what} after {deadline_s:g} s: the process ends")
        self._reloads, self.reloading = 1, True
        waiting = self._worker.abandon()
        self._abandon()
        self._worker = NewestFirst(self._work, self._replaced, self._load_anew)
        for item in waiting:
            self._worker.offer(item)

    def _load_anew(self) -> None:
        try:
            self._reload()
        except Exception as error:  # whatever it is, check() tells it
            self._failure = error
        self.reloading = False


def beside(work: Callable[[], Result], deadline_s: float, meanwhile: Callable[[], None] = lambda: None) -> Result:
    """Load something on a thread of its own while the caller's goes on.

    Args:
        deadline_s: 0 waits for ever.
        meanwhile: called every 5 ms until the work is done.

    Raises:
        BackendError: not done in time, and the thread is left behind; or `work` raised what is none of
            LOADING_ERRORS, as a broken installation does (ImportError): its type and text.
        FastDepthError, BackendError, FastDepthError, ValueError, OSError: as `work` raised it.
    """
    outcome: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # SystemExit of an engine's own set-up too
            errors.append(error)

    thread = threading.Thread(target=run, name="fastdepth-load", daemon=True)
    thread.start()
    ends_at = time.monotonic() + (deadline_s or float("inf"))
    try:
        while thread.is_alive() and time.monotonic() < ends_at:
            thread.join(MEANWHILE_S)
            meanwhile()
    except KeyboardInterrupt:  # an engine whose thread outlives the interpreter crashes it
        thread.join(FAREWELL_S)
        raise
    if errors:
        if isinstance(errors[0], LOADING_ERRORS):
            raise errors[0]
        raise BackendError(f"{type(errors[0]).__name__}: {errors[0]}") from errors[0]
    if not outcome:
        raise BackendError(
            f"the backend was not loaded within {deadline_s:g} s; raise load_deadline_s if it needs more"
        )
    return outcome[0]


def hold_lifeline(limit_s: float) -> None:
    """End the process if this is not called again in time: an engine may hang and keep all of Python from running.

    Args:
        limit_s: 0 lets go.
    """
    if limit_s:
        faulthandler.dump_traceback_later(limit_s, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()
