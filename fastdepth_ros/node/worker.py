"""Worker thread that processes the newest frame, and the watchdog that replaces it where the backend hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

PERIOD_S = 0.1  # of Watchdog.check, in seconds
Item = TypeVar("Item")


class BackendLost(Exception):  # noqa: N818 (not an error of the caller's: the end of the process)
    """The backend hangs again or cannot be loaded again: only another process can help."""


class NewestFirst(Generic[Item]):
    """Worker thread that calls `work(item)` with the newest item; older waiting items are replaced, not queued.

    Args:
        work: must not raise.
        replaced: function called for each item that a newer one replaced.
        prepare: function called once on that thread before any item; must not raise.
    """

    def __init__(
        self, work: Callable[[Item], None], replaced: Callable[[], None], prepare: Callable[[], None] | None = None
    ) -> None:
        self._work, self._replaced, self._prepare = work, replaced, prepare
        self._lock = threading.Lock()
        self._waiting: list[Item] = []  # none or one
        self._wake: SimpleQueue[None] = SimpleQueue()  # a condition wakes its thread in Python code, this one in C
        self._stopping = False
        self._busy_since: float | None = time.monotonic() if prepare else None
        self._thread = threading.Thread(target=self._run, name="fastdepth", daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """Seconds spent on the present item so far, 0.0 while waiting."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def offer(self, item: Item) -> None:
        with self._lock:
            replaced, self._waiting = self._waiting, [item]
        if replaced:
            self._replaced()
        else:
            self._wake.put(None)

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Finish the item in work and end the thread; the one that waits is dropped.

        Returns:
            Whether the thread ended in time.
        """
        self.abandon()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def abandon(self) -> list[Item]:
        """End the thread when its work returns, if ever.

        Returns:
            The item that waits, if one does.
        """
        self._stopping = True
        self._wake.put(None)
        with self._lock:
            return self._waiting

    def _run(self) -> None:
        if self._prepare is not None:
            self._prepare()
            self._busy_since = None
        while True:
            self._wake.get()
            with self._lock:
                if self._stopping:
                    return
                item = self._waiting.pop()
                self._busy_since = time.monotonic()
            self._work(item)
            self._busy_since = None


class Watchdog(Generic[Item]):
    """A worker on the newest item; where its work hangs, the call is given up and the backend loaded again, once.

    Args:
        work, replaced: functions as of NewestFirst.
        abandon: function called when a call is given up; what it still may return has to be ignored.
        reload: loads the backend again, on the next worker's thread.
        deadline_s: longest time of one call of `work`; 0 is no limit.
        load_deadline_s: longest time of `reload`; 0 is no limit.
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
        """Item to work on next; an item that waits is replaced."""
        self._worker.offer(item)

    def stop(self) -> bool:
        """Stop as in NewestFirst; a call that hangs is abandoned."""
        stopped = self._worker.stop(min(self.deadline_s or 10.0, 10.0))
        if not stopped:
            self._abandon()
        return stopped

    def check(self) -> None:
        """Check the worker; call it every PERIOD_S.

        Raises:
            BackendLost: it hung before, or loading it again failed.
        """
        if self._failure is not None:
            raise BackendLost(f"the backend hung and cannot be loaded again: {self._failure}")
        deadline_s = self.load_deadline_s if self.reloading else self.deadline_s
        if not deadline_s or self._worker.busy_s < deadline_s:
            return
        if self._reloads:
            what = "is not loaded again" if self.reloading else "hangs again"
            raise BackendLost(f"the backend {what} after {deadline_s:g} s: the process ends")
        self._reloads, self.reloading = 1, True
        waiting = self._worker.abandon()
        self._abandon()
        self._worker = NewestFirst(self._work, self._replaced, self._load_again)
        for item in waiting:
            self._worker.offer(item)

    def _load_again(self) -> None:
        try:
            self._reload()
        except Exception as error:  # whatever it is, check() reports it
            self._failure = error
        self.reloading = False
