"""Windows: every frame in one of them, at bounds that depend on the recording alone."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.bags.windows import WINDOW_FRAMES, Selection, cut

TIMES = np.arange(1000) * 33_333_333 + 1_700_000_000_000_000_000
RECORDING = (int(TIMES[0]) - 5, int(TIMES[-1]) + 7)
SMALL = 1000 * 100


def kept(windows, times=TIMES):
    """Numbers of the frames that the windows keep, in order."""
    numbers = []
    for window in windows:
        first = np.searchsorted(times, window.start_ns)
        numbers += [int(first) + one for one in window.kept]
    return numbers


def test_windows_hold_every_frame_once_and_all_of_the_time():
    windows = cut(TIMES, RECORDING, SMALL, Selection())
    assert kept(windows) == list(range(1000))
    assert (windows[0].start_ns, windows[-1].stop_ns) == RECORDING
    assert all(one.stop_ns == other.start_ns for one, other in zip(windows, windows[1:]))
    assert {len(window.kept) for window in windows[:-1]} == {WINDOW_FRAMES}


def test_windows_of_large_frames_hold_few():
    windows = cut(TIMES, RECORDING, 1000 * (25 << 20), Selection())
    assert len(windows[0].kept) == 5 and kept(windows) == list(range(1000))


def test_frames_of_one_time_stay_together():
    times = np.repeat(TIMES[:100], 10)
    windows = cut(times, (int(times[0]), int(times[-1]) + 1), SMALL, Selection())
    assert kept(windows, times) == list(range(1000))
    assert all(len(window.kept) % 10 == 0 for window in windows)


def test_every_counts_from_the_start():
    windows = cut(TIMES, RECORDING, SMALL, Selection(start_s=1.0, end_s=10.0, every=7))
    first = int(np.searchsorted(TIMES, RECORDING[0] + 1_000_000_000))
    end = int(np.searchsorted(TIMES, RECORDING[0] + 10_000_000_000))
    assert kept(windows) == list(range(first, end, 7))


@pytest.mark.parametrize(("rate_hz", "expected"), [(10, 3), (30, 1), (100, 1), (1, 30)])
def test_a_rate_keeps_that_many_a_second(rate_hz, expected):
    jittered = TIMES + np.random.default_rng(0).integers(-2_000_000, 2_000_000, 1000)
    windows = cut(jittered, (int(jittered[0]), int(jittered[-1]) + 1), SMALL, Selection(rate_hz=rate_hz))
    numbers = kept(windows, jittered)
    assert len(numbers) == pytest.approx(1000 / expected, rel=0.05)
    moments = np.round((jittered[numbers] - jittered[0]) * rate_hz / 1e9)
    assert len(set(moments.tolist())) == len(numbers)


def test_nothing_selected_is_no_window_and_nonsense_is_refused():
    assert cut(TIMES, RECORDING, SMALL, Selection(start_s=1000)) == []
    assert [window.kept for window in cut(TIMES[:0], RECORDING, SMALL, Selection())] == [()]
    for nonsense in ({"start_s": -1}, {"start_s": 2, "end_s": 1}, {"every": 0}, {"rate_hz": 0}):
        with pytest.raises(ValueError, match=r"sense|nothing"):
            Selection(**nonsense)
