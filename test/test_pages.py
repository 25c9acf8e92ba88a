"""The pages: each begins with what its reader can do, links lead somewhere, the command line page has every verb."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from write_pages import written

from fastdepth_ros.cli import VERBS
from fastdepth_ros.node.diagnostics.findings import KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "doc").glob("*.md"))


def test_tables_of_pages_and_parameter_files_are_those_of_the_package():
    stale = [path.name for path, text in written().items() if path.read_text() != text]
    assert not stale, "write them anew: python test/write_pages.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_what_its_reader_can_do(page):
    title, empty, first = page.read_text().splitlines()[:3]
    assert title.startswith("# ") and not empty and first.startswith("With this page you can ")


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_readme_is_short_and_links_every_page():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    assert not [page.name for page in PAGES if f"(doc/{page.name})" not in readme]


def test_the_contents_have_every_page():
    listed = re.findall(r"^   (\w+)$", (ROOT / "doc" / "index.rst").read_text(), flags=re.M)
    assert set(listed) == {page.stem for page in PAGES} | {"changelog"}


def test_the_command_line_page_has_every_verb():
    page = (ROOT / "doc" / "command_line.md").read_text()
    assert set(re.findall(r"^\| `fastdepth ([\w-]+)", page, flags=re.M)) == set(VERBS)


def test_the_glossary_has_at_most_25_words():
    words = (ROOT / "doc" / "architecture.md").read_text().partition("## Words")[2]
    assert 10 < len(re.findall(r"^\| ", words, flags=re.M)) - 1 <= 25


def test_renamed_modules_are_found_under_their_new_names():
    table = (ROOT / "CHANGELOG.rst").read_text().partition("* Renamed: ")[2]
    package = ROOT / "fastdepth_ros"
    new = [
        name
        for name in re.findall(r"->\s+``([\w.]+)``", table)
        if "." in name and (package / name.split(".")[0]).is_dir()
    ]
    assert len(new) > 30
    places = [package / name.replace(".", "/") for name in new]
    assert not [place for place in places if not place.is_dir() and not place.with_name(f"{place.name}.py").exists()]


def test_the_parameters_of_the_page_by_purpose_exist():
    known = set(yaml.safe_load((ROOT / "config" / "fastdepth.yaml").read_text())["/**"]["ros__parameters"])
    rows = re.findall(r"^\| [^|]*\|([^|]*)\|", (ROOT / "doc" / "which_parameter.md").read_text(), flags=re.M)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)(?:: [^`]*)?`", row)}
    assert len(named) > 15
    assert named <= known | {"camera_info", "image_rect"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_findings_that_a_page_names_exist(page):
    named = re.findall(r"[Ff]indings? (?:is )?`(\w+)`(?: or `(\w+)`)?", page.read_text())
    assert {name for names in named for name in names if name} <= set(KINDS)


@pytest.mark.parametrize("room", ["depth", "artifact", "backends"])
def test_the_api_page_has_every_module_of_its_folder(room):
    page = (ROOT / "doc" / "api" / f"{room}.rst").read_text()
    modules = [path.stem for path in (ROOT / "fastdepth_ros" / room).glob("*.py") if path.stem != "__init__"]
    assert set(re.findall(r"automodule:: fastdepth_ros\.\w+\.(\w+)", page)) == set(modules)


@pytest.mark.slow
@pytest.mark.needs("sphinx")
def test_sphinx_builds_the_pages_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(ROOT / "doc"), str(tmp_path / "html")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "DepthEstimator" in (tmp_path / "html" / "api" / "depth.html").read_text()
