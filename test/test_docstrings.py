"""Docstrings of the package begin with the noun or the verb."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RIDDLES = {
    "as", "before", "by", "for", "from", "how", "of", "since", "so", "that", "those", "to", "until", "what", "which",
    "who", "why", "with",
}  # fmt: skip


def docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "fastdepth_ros").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def test_no_docstring_begins_with_a_riddle():
    found = list(docstrings())
    assert len(found) > 1000
    assert not [place for place, text in found if text.split()[0].lower() in RIDDLES]
