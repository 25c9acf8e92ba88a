"""Windows of time that a recording is cut into, at bounds that depend on the recording and the request alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from fastdepth_ros.errors import FastDepthError

WINDOW_FRAMES = 32
WINDOW_BYTES = 128 << 20  # a worker holds the messages of one window


@dataclass(frozen=True)
class Selection:
    """Frames of a recording that get a depth.

    Args:
        start_s, end_s: seconds since the start of the recording; None: its end.
        every: use one frame out of this many, from `start_s` on.
        rate_hz: use of those the frames nearest to moments 1 / rate_hz seconds apart; None: all.

    Raises:
        FastDepthError: a number out of range.
    """

    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < inf or not (self.end_s is None or self.start_s < self.end_s < inf):
            raise FastDepthError(f"nothing lies between second {self.start_s} and second {self.end_s}")
        if self.every < 1:
            raise FastDepthError(f"every {self.every} frames makes no sense; 1 keeps all")
        if self.rate_hz is not None and not 0 < self.rate_hz < inf:
            raise FastDepthError(f"a rate of {self.rate_hz:g} Hz makes no sense")


@dataclass(frozen=True)
class Window:
    """Time span of a recording, from `start_ns` to before `stop_ns`.

    Args:
        kept: indices in the window of the frames that get a depth.
    """

    start_ns: int
    stop_ns: int
    kept: tuple[int, ...]


def cut(
    times_ns: np.ndarray, recording_ns: tuple[int, int], recording_bytes: int, selection: Selection
) -> list[Window]:
    """Windows of a recording, in order; together they cover the selected time, each moment once.

    Args:
        times_ns: recording times of its frames, ascending.
        recording_ns: its start and end (exclusive).
        recording_bytes: its size; windows of large frames hold fewer frames.
    """
    began, ended = recording_ns
    start = began + round(selection.start_s * 1e9)
    stop = ended if selection.end_s is None else min(ended, began + round(selection.end_s * 1e9))
    if stop <= start:
        return []
    chosen = _chosen(times_ns, start, stop, selection)
    frames = _frames_in_window(len(chosen), recording_bytes * (stop - start) / (ended - began))
    when = times_ns[chosen]
    bounds = np.unique(when[frames::frames])  # frames of one time stay together
    lowers = np.array([start, *bounds[bounds > start]])
    uppers = np.array([*lowers[1:], stop])
    firsts, begins, ends = (
        np.searchsorted(times_ns, lowers),
        np.searchsorted(when, lowers),
        np.searchsorted(when, uppers),
    )
    return [
        Window(int(lower), int(upper), tuple((chosen[begin:end] - first).tolist()))
        for lower, upper, first, begin, end in zip(lowers, uppers, firsts, begins, ends)
    ]


def _chosen(times_ns: np.ndarray, start: int, stop: int, selection: Selection) -> np.ndarray:
    """Indices of the frames that get a depth."""
    numbers = np.flatnonzero((times_ns >= start) & (times_ns < stop))[:: selection.every]
    if selection.rate_hz is None or not len(numbers):
        return numbers
    passed = (times_ns[numbers] - times_ns[numbers[0]]) * (selection.rate_hz / 1e9)
    moments = np.round(passed)
    nearest_first = np.lexsort((np.abs(passed - moments), moments))
    return numbers[nearest_first[np.unique(moments[nearest_first], return_index=True)[1]]]


def _frames_in_window(frames: int, size: float) -> int:
    return int(np.clip(WINDOW_BYTES * frames / max(size, 1), 1, WINDOW_FRAMES)) if frames else 1
