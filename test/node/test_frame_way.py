"""doc/architecture.md draws the way that a frame really takes."""

from __future__ import annotations

from collections import Counter

import pytest
from measure_house import ROOT, drawn, measured_way


@pytest.fixture(scope="module")
def way() -> list[list[str]]:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    return measured_way()["way"]


def test_the_drawn_way_of_a_frame_is_the_real_one(way):
    page = (ROOT / "doc" / "architecture.md").read_text()
    assert drawn(way) in page, "draw it anew: python test/measure_house.py --draw doc/architecture.md"


def test_the_way_begins_in_the_callback_and_ends_in_a_publish(way):
    assert [called for _, _, called in way[:2]] == ["_on_sample", "_on_image"]
    assert len(way) > 20


def test_a_frame_enters_at_most_twelve_files_none_more_than_twice(way):
    entered = Counter(called for caller, called, _ in way if caller != called)
    assert len(entered) <= 12 and max(entered.values()) <= 2, entered
