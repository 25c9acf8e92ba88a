"""A ROS graph per test: its own context, on a domain that no other test uses at the same time."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

_domains = itertools.count(os.getpid() % 90)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "domain" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.graph)


def _claimed() -> tuple[int, IO[str]]:
    """A domain that no test of this machine uses, another run of the suite beside this one included, and its lock."""
    while True:
        number = next(_domains) % 100 + 1
        lock = Path(tempfile.gettempdir(), f"fastdepth_test_domain_{number}").open("w")  # noqa: SIM115 (the test closes it)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return number, lock


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """A ROS domain on this machine alone, in the environment for child processes too."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    number, lock = _claimed()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    with lock:
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
