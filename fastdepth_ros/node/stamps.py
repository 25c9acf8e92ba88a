"""Plausibility check of the frames' stamps. Knows no ROS."""

from __future__ import annotations

FUTURE_S = 0.1  # computers on one network differ by less
PAST_S = 10.0  # no network and no queue of a camera holds frames for longer
JUMP_S = 1.0


class StampWatch:
    """Compares each stamp with the clock and with the one before it. Times are whole nanoseconds."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None  # stamp and time of the frame before
        self._lenient_until_ns = 0

    def forget(self, now_ns: int = 0, lenient_s: float = 0.0) -> None:
        """The clock jumped: frames that are on their way still bear stamps of the time before."""
        self._last, self._lenient_until_ns = None, now_ns + int(lenient_s * 1e9)

    def check(self, stamp_ns: int, now_ns: int) -> dict[str, float]:
        """Faults of a stamp: seconds by name of the finding; empty for a good stamp."""
        if now_ns < self._lenient_until_ns:
            return {}
        if stamp_ns <= 0:
            return {"stamp_zero": stamp_ns / 1e9}
        found = {}
        if stamp_ns - now_ns > FUTURE_S * 1e9:
            found["stamp_future"] = (stamp_ns - now_ns) / 1e9
        if now_ns - stamp_ns > PAST_S * 1e9:
            found["stamp_past"] = (now_ns - stamp_ns) / 1e9
        if self._last is not None:
            step_ns, elapsed_ns = stamp_ns - self._last[0], now_ns - self._last[1]
            if step_ns <= 0 or abs(step_ns - elapsed_ns) > JUMP_S * 1e9:
                found["stamp_jump"] = step_ns / 1e9
        self._last = (stamp_ns, now_ns)
        return found
