"""The pages: each begins with what its reader can do, links lead somewhere, the command line page has every verb."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastdepth_ros.cli import VERBS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "doc").glob("*.md"))


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


def test_the_command_line_page_has_every_verb():
    page = (ROOT / "doc" / "command_line.md").read_text()
    assert set(re.findall(r"^\| `fastdepth ([\w-]+)", page, flags=re.M)) == set(VERBS)


def test_the_glossary_has_at_most_25_words():
    words = (ROOT / "doc" / "architecture.md").read_text().partition("## Words")[2]
    assert 10 < len(re.findall(r"^\| ", words, flags=re.M)) - 1 <= 25


def test_renamed_modules_are_found_under_their_new_names():
    table = (ROOT / "CHANGELOG.md").read_text().partition("### Renamed")[2]
    package = ROOT / "fastdepth_ros"
    new = [
        name for name in re.findall(r"-> `([\w.]+)`", table) if "." in name and (package / name.split(".")[0]).is_dir()
    ]
    assert len(new) > 30
    places = [package / name.replace(".", "/") for name in new]
    assert not [place for place in places if not place.is_dir() and not place.with_name(f"{place.name}.py").exists()]
