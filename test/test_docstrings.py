"""Words of package, tests and pages: docstrings begin with a noun or a verb, spelling is American."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RIDDLES = {
    "as", "before", "beside", "between", "beyond", "by", "for", "from", "how", "if", "in", "of", "on", "since", "so",
    "that", "those", "to", "under", "until", "what", "when", "where", "which", "while", "who", "why", "with",
}  # fmt: skip
BRITISH = re.compile(
    r"(?<![\w-])(analys(e|ed|es|ing)|artefacts?|behaviours?|catalogues?|centr(e|es|ed|ing)|colour\w*|favour\w*|grey(s|ed)?|"
    r"honour\w*|judgement\w*|labell\w+|cancell(ed|ing)|modell(ed|ing)|travell\w+|milli?metres?|metres?|neighbour\w*|"
    r"towards|whilst|\w+(ynchron|nitial|ormal|ptim|ecogn|rgan|erial)is(e|ed|es|ing|ation))(?![\w-])",
    re.IGNORECASE,
)
NAMES = {
    "metre": "value of the unit in manifests, whose format stays",
    "millimetre": "value of the unit in intrinsics.json, whose format stays",
    "catalogue": "an option's old name, which goes on working",
}
SEARCHED = ("fastdepth_ros/**/*.py", "doc/*.md", "launch/*.py", "config/*.yaml", "test/**/*.py", "README.md")


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def begins_with_a_riddle(text: str) -> bool:
    return text.split()[0].lower() in RIDDLES


def test_no_docstring_begins_with_a_preposition():
    found = [one for path in sorted((ROOT / "fastdepth_ros").rglob("*.py")) for one in docstrings(path)]
    assert len(found) > 900
    assert not [place for place, text in found if begins_with_a_riddle(text)]


def arguments(text: str) -> Iterator[str]:
    """Descriptions of arguments and attributes."""
    for section in re.findall(r"^(?:Args|Attributes|Class attributes):\n((?: {4}.*\n?)+)", text, re.MULTILINE):
        yield from re.findall(r"^ {4}[\w *,`]+: (.+)", section, re.MULTILINE)


def test_no_description_of_an_argument_begins_with_a_preposition():
    found = [
        (place, described)
        for path in sorted((ROOT / "fastdepth_ros").rglob("*.py"))
        for place, text in docstrings(path)
        for described in arguments(text)
    ]
    assert len(found) > 600
    assert not [one for one in found if begins_with_a_riddle(one[1]) or one[1].startswith("called ")]


def test_no_test_or_launch_file_begins_with_a_preposition():
    files = [path for folder in ("test", "launch") for path in sorted((ROOT / folder).rglob("*.py"))]
    texts = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in files}
    assert sum(map(bool, texts.values())) > 100
    assert not [str(path.relative_to(ROOT)) for path, text in texts.items() if text and begins_with_a_riddle(text)]


def test_spelling_is_american():
    found = []
    for path in sorted({path for pattern in SEARCHED for path in ROOT.glob(pattern)} - {Path(__file__).resolve()}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found += [f"{path.relative_to(ROOT)}:{number}: {m[0]}" for m in BRITISH.finditer(line) if m[0] not in NAMES]
    assert not found


def test_british_spelling_is_found():
    for text in ("the colour", "a grey image", "in metres", "initialised", "the Centre", "labelled", "millimetres"):
        assert BRITISH.search(text), text
    for text in ("color", "parameters", "symmetric", "exercise", "program", "center", "promise", "geometres"):
        assert not BRITISH.search(text), text
