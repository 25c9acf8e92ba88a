"""doc/architecture.md draws the way that a frame really takes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from measure_house import PACKAGE, ROOT, code_lines, drawn, measured_way

MOST_FILES, MOST_LINES = 40, 3950  # of all that a node has imported after its first frame


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    return measured_way()


@pytest.fixture(scope="module")
def way(measured) -> list[list[str]]:
    return measured["way"]


def test_the_drawn_way_of_a_frame_is_the_real_one(way):
    page = (ROOT / "doc" / "architecture.md").read_text()
    assert drawn(way) in page, "draw it anew: python test/measure_house.py --draw doc/architecture.md"


def test_the_way_begins_in_the_callback_and_ends_in_a_publish(way):
    assert [called for _, _, called in way[:2]] == ["_on_sample", "_on_image"]
    assert len(way) > 20


def test_a_frame_enters_at_most_twelve_files_none_more_than_twice(way):
    entered = Counter(called for caller, called, _ in way if caller != called)
    assert len(entered) <= 12 and max(entered.values()) <= 2, entered


def test_a_node_imports_few_files_features_only_where_they_are_used(measured):
    lines = {name: code_lines(PACKAGE / name) for name in measured["modules"]}
    assert len(lines) <= MOST_FILES and sum(lines.values()) <= MOST_LINES, lines
