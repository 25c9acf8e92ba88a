"""A ROS graph per test: its own context, on a domain that no other test uses at the same time."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_domains = itertools.count(os.getpid() % 90)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "domain" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.graph)


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """A ROS domain on this machine alone, in the environment for child processes too."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    number = next(_domains) % 100 + 1
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    return number


@pytest.fixture
def graph(domain: int) -> Iterator[Any]:
    from ros_graph import Graph

    graph = Graph(domain)
    yield graph
    graph.close()
