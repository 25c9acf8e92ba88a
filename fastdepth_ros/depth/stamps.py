"""Stamps of messages, and a cache that finds the message of a stamp."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from typing import Any, Generic, TypeVar

Message = TypeVar("Message")


def stamp_ns(message: Any) -> int:
    """Stamp of a message with a header, in nanoseconds; rclpy's Time refuses negative ones, which drivers can send."""
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec


class StampCache(Generic[Message]):
    """Messages by their stamp; one thread may add while another one looks.

    Args:
        keep: how many of the newest are kept; 0 keeps all.
    """

    def __init__(self, keep: int = 0) -> None:
        self._keep = keep
        self._stamps_ns: list[int] = []
        self._messages: dict[int, Message] = {}
        self._lock = threading.Lock()

    def add(self, stamp_ns: int, message: Message) -> None:
        with self._lock:
            if stamp_ns not in self._messages:
                insort(self._stamps_ns, stamp_ns)
            self._messages[stamp_ns] = message
            if self._keep and len(self._stamps_ns) > self._keep:
                del self._messages[self._stamps_ns.pop(0)]

    def at(self, stamp_ns: int) -> Message | None:
        """The message of this very stamp, else the newest before it, else the first; None if there is none."""
        with self._lock:
            if not self._stamps_ns:
                return None
            return self._messages[self._stamps_ns[max(bisect_right(self._stamps_ns, stamp_ns) - 1, 0)]]
