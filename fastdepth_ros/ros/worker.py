"""A thread that always works on the newest item: what it had no time for is replaced, not queued."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFirst(Generic[Item]):
    """Calls `work(item)` on a thread of its own, for the newest of the items offered while it was busy.

    Args:
        work: must not raise.
        replaced: called for each item that a newer one pushed out.
    """

    def __init__(self, work: Callable[[Item], None], replaced: Callable[[], None]) -> None:
        self._work, self._replaced = work, replaced
        self._changed = threading.Condition()
        self._waiting: list[Item] = []  # none or one
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fastdepth", daemon=True)
        self._thread.start()

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
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                item = self._waiting.pop()
            self._work(item)
