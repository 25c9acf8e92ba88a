"""One table of parameters: the file, the page and the code agree with it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from help_words import help_complaint
from write_pages import PARAMETER_FILES

from fastdepth_ros.node.parameters import Settings, complaint

ROOT = Path(__file__).resolve().parents[2]
OTHER_FILES = {
    "cameras.yaml",
    "diagnostic_aggregator.yaml",
    "nav2_costmap.yaml",
    "nav2_collision_monitor.yaml",
}  # of other nodes, or no parameter files


@pytest.mark.parametrize("name", PARAMETER_FILES)
def test_a_parameter_file_says_what_was_meant(name):
    loaded = yaml.safe_load((ROOT / "config" / name).read_text())["/**"]["ros__parameters"]
    assert loaded == PARAMETER_FILES[name][1]
    settings = Settings(**loaded)
    assert not any(complaint(field.name, getattr(settings, field.name)) for field in fields(Settings))


def test_the_only_parameter_file_is_the_tables_and_whole():
    assert {path.name for path in (ROOT / "config").glob("*.yaml")} == set(PARAMETER_FILES) | OTHER_FILES
    assert Settings(**PARAMETER_FILES["fastdepth.yaml"][1]) == Settings()


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_parameter_is_read_by_the_node(name):
    files = set((ROOT / "fastdepth_ros" / "node").rglob("*.py")) - {ROOT / "fastdepth_ros" / "node" / "parameters.py"}
    sources = "".join(path.read_text() for path in files)
    assert re.search(rf'settings\.{name}\b|get_parameter\("{name}"\)', sources)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_parameter_is_described_noun_first(field):
    assert not help_complaint(field.metadata["doc"])


def test_the_defaults_are_allowed_and_an_unknown_choice_lists_the_known():
    defaults = Settings()
    assert not any(complaint(field.name, getattr(defaults, field.name)) for field in fields(Settings))
    assert "auto, reliable, best_effort" in complaint("reliability", "sometimes")
