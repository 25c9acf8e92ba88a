"""A ROS graph per test: its own context, on a domain that no other test uses at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastdepth_ros.jobs.processes import isolated_domain


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "domain" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.graph)


@pytest.fixture
def domain(tmp_path: Path) -> Iterator[int]:
    """A ROS domain on this machine alone, in the environment for child processes too."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    with isolated_domain(tmp_path / "log") as number:
        yield number


@pytest.fixture
def odd_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The class of the backend "odd", whose attributes say what goes wrong with it."""
    from odd_backend import OddBackend

    monkeypatch.setattr("fastdepth_ros.node.parameters.complaint", lambda name, value: "")  # "odd" is no choice
    OddBackend.reset()
    yield OddBackend
    OddBackend.reset()


@pytest.fixture
def graph(domain: int) -> Iterator[Any]:
    from ros_graph import Graph

    graph = Graph(domain)
    yield graph
    graph.close()


@pytest.fixture
def observer(domain: int) -> Iterator[Any]:
    """A second graph on the same domain, which goes on where the executor of the first one is busy."""
    from ros_graph import Graph

    graph = Graph(domain)
    yield graph
    graph.close()
