"""`backend: auto` in a node: it starts at once, measures when the machine is quiet, and swaps while frames flow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_graph import CameraDriver, Diagnostics, Listener, picture, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.choice.choice import Choice
from fastdepth_ros.choice.kept import Timed, keep_choice
from fastdepth_ros.node import engine_chooser
from fastdepth_ros.node.engine import wanted_engine
from fastdepth_ros.node.parameters import Settings


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def always_quiet(monkeypatch):
    """The machine of a test is never quiet."""
    monkeypatch.setattr(engine_chooser, "QUIET_SHARE", 10.0)
    monkeypatch.setattr(engine_chooser, "QUIET_CHECKS", 1)


def test_the_choice_is_measured_applied_and_told(graph, artifact_folder, always_quiet):
    node = graph.activated(artifact_folder, backend="auto")
    camera, depths, diagnostics = CameraDriver(graph), Listener(graph, "/depth/image", Image), Diagnostics(graph)
    camera.wait()
    wait_until(lambda: "shipped order" in diagnostics.facts.get("engine choice", ""), "the first status")
    wait_until(lambda: "measured" in diagnostics.facts["engine choice"], "the measurement", 90)
    facts = diagnostics.facts
    backend = facts["engine choice"].split()[0]
    assert facts["backend"].startswith(backend) and "ms in the slowest tenth" in facts["engine choice"]
    camera.send(1, picture())
    wait_until(lambda: depths.stamps() == [1], "depth after the swap")
    assert node.get_parameter("backend").value == "auto"


def test_a_kept_choice_is_taken_at_the_start(graph, artifact_folder):
    artifact, wanted = find_artifact(artifact_folder), wanted_engine(Settings())
    keep_choice(artifact, wanted, [Timed(Choice("onnxruntime", "fp32", 1), 1.0, 1.0)], "2026-01-01")
    graph.activated(artifact_folder, backend="auto")
    diagnostics = Diagnostics(graph)
    wait_until(lambda: "engine choice" in diagnostics.facts, "diagnostics")
    assert diagnostics.facts["engine choice"].startswith("onnxruntime fp32, 1 thread; measured 2026-01-01")


def test_nothing_is_measured_while_others_work(graph, artifact_folder, monkeypatch):
    monkeypatch.setattr(engine_chooser, "QUIET_SHARE", -1.0)
    monkeypatch.setattr(engine_chooser, "QUIET_CHECKS", 1)
    monkeypatch.setattr(engine_chooser, "Measurement", lambda *given: pytest.fail("measured"))
    graph.activated(artifact_folder, backend="auto")
    diagnostics = Diagnostics(graph)
    wait_until(lambda: len(diagnostics.heard) > 3, "some seconds")
    assert "shipped order" in diagnostics.facts["engine choice"]


def test_a_named_backend_is_told_and_not_measured(graph, artifact_folder, always_quiet, monkeypatch):
    monkeypatch.setattr(engine_chooser, "Measurement", lambda *given: pytest.fail("measured"))
    graph.activated(artifact_folder, backend="onnxruntime")
    diagnostics = Diagnostics(graph)
    wait_until(lambda: len(diagnostics.heard) > 3, "some seconds")
    assert diagnostics.facts["engine choice"] == "onnxruntime fp32, all threads; named"


def test_a_measurement_that_cannot_start_leaves_the_engine(artifact_folder, always_quiet, monkeypatch):
    """No folder for temporary files, no memory for a process."""

    def no_room(*given: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(engine_chooser, "Measurement", no_room)
    logged: list[str] = []
    logger = SimpleNamespace(info=logged.append, warning=logged.append)
    chooser = engine_chooser.EngineChooser(find_artifact(artifact_folder), wanted_engine(Settings()), logger, print)
    chooser.check()
    assert logged[-1].endswith("No usable temporary directory found; the engine stays as it is")
    chooser.check()
    assert len(logged) == 2  # it is not tried again
