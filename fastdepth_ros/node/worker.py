"""Worker thread that processes the newest item; older waiting items are replaced, not queued."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFirst(Generic[Item]):
    """Calls `work(item)` on a thread of its own, for the newest of the items offered while it was busy.

    Args:
        work: must not raise.
        replaced: called for each item that a newer one pushed out.
        prepare: called once on that thread before any item; must not raise.
    """

    def __init__(
        self, work: Callable[[Item], None], replaced: Callable[[], None], prepare: Callable[[], None] | None = None
    ) -> None:
        self._work, self._replaced, self._prepare = work, replaced, prepare
        self._changed = threading.Condition()
        self._waiting: list[Item] = []  # none or one
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
        with self._changed:
            if self._waiting:
                self._waiting.clear()
                self._replaced()
            self._waiting.append(item)
            self._changed.notify()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Finish the item in work and end the thread; the one that waits is dropped.

        Returns:
            Whether the thread ended in time.
        """
        self.abandon()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def abandon(self) -> list[Item]:
        """End the thread as soon as its work returns, if ever.

        Returns:
            The item that waits, if one does.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
            return self._waiting

    def _run(self) -> None:
        if self._prepare is not None:
            self._prepare()
            self._busy_since = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                item = self._waiting.pop()
                self._busy_since = time.monotonic()
            self._work(item)
            self._busy_since = None
