"""Cache by stamp: the camera_info that belongs to a frame."""

import sys
import threading

from fastdepth_ros.depth.camera_info import StampCache


def filled(keep: int = 0) -> StampCache[str]:
    pairing: StampCache[str] = StampCache(keep)
    for stamp in (30, 10, 20):  # in no order
        pairing.add(stamp, f"at {stamp}")
    return pairing


def test_its_own_stamp_comes_first_then_the_newest_before_then_the_first():
    assert [filled().at(stamp) for stamp in (20, 25, 99, 5)] == ["at 20", "at 20", "at 30", "at 10"]


def test_nothing_belongs_to_a_frame_where_nothing_came():
    assert StampCache().at(1) is None


def test_only_the_newest_are_kept():
    assert filled(keep=2).at(10) == "at 20"


def test_a_message_of_a_stamp_that_came_before_replaces_it():
    pairing = filled(keep=3)
    pairing.add(20, "anew")
    assert pairing.at(20) == "anew"
    assert pairing.at(10) == "at 10"


def test_a_thread_may_look_while_another_adds():
    pairing: StampCache[int] = StampCache(keep=3)
    pairing.add(0, 0)
    adding = threading.Thread(target=lambda: [pairing.add(stamp, stamp) for stamp in range(1, 20_000)])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        adding.start()
        while adding.is_alive():
            assert pairing.at(10**6) is not None
    finally:
        sys.setswitchinterval(interval)
        adding.join()
