"""Writes what the tables of the package say: config/*.yaml and the tables of doc/.

python test/write_pages.py    # after a change of parameters, findings or the schema of the manifest
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, fields
from pathlib import Path
from string import Formatter
from typing import Any

from fastdepth_ros.artifact.manifest import TYPES, schema
from fastdepth_ros.node.diagnostics.findings import ERROR, KINDS, OK, WARN
from fastdepth_ros.node.parameters import Settings, constraint

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- write_pages.py writes this -->\n", "<!-- to here -->\n"
LEVELS = {OK: "OK", WARN: "WARN", ERROR: "ERROR"}
TX2 = "doc/jetson_tx2.md says how to make its model. Parameters that are not listed keep their defaults."
PARAMETER_FILES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "fastdepth.yaml": ("Parameters of the fastdepth node with their defaults.", asdict(Settings())),
    "tx2_cpu.yaml": (
        f"Jetson TX2, four A57 cores. {TX2}",
        {"backend": "tvm", "model": "~/fastdepth/tx2-cpu", "device": "cpu", "threads": 4},
    ),
    "tx2_gpu.yaml": (
        f"Jetson TX2, GPU. {TX2}",
        {"backend": "tvm", "model": "~/fastdepth/tx2-gpu", "device": "cuda"},
    ),
}


def written() -> dict[Path, str]:
    """Content of each file as it should be."""
    tables = {"parameters.md": parameter_rows(), "diagnostics.md": finding_rows(), "manifest.md": manifest_rows()}
    files = {ROOT / "config" / name: parameter_file(*given) for name, given in PARAMETER_FILES.items()}
    return files | {(page := ROOT / "doc" / name): _replaced(page, rows) for name, rows in tables.items()}


def _replaced(page: Path, rows: Iterator[str]) -> str:
    before, _, rest = page.read_text().partition(BEGIN)
    return before + BEGIN + "\n".join(rows) + "\n" + END + rest.partition(END)[2]


def parameter_file(title: str, values: Mapping[str, Any]) -> str:
    """Text of a parameter file: each parameter of `values`, with its description as a comment."""
    lines = [f"# {title}", "/**:", "  ros__parameters:"]
    for entry in (entry for entry in fields(Settings) if entry.name in values):
        indent = "    # "
        lines += textwrap.wrap(
            _meaning(entry), 110, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
        lines.append(f"    {entry.name}: {_yaml(values[entry.name])}")
    return "\n".join(lines) + "\n"


def parameter_rows() -> Iterator[str]:
    yield from ("| parameter | default | meaning |", "|---|---|---|")
    for entry in fields(Settings):
        yield f"| `{entry.name}` | `{_yaml(entry.default)}` | {_meaning(entry)} |"


def _meaning(entry: Field[Any]) -> str:
    return "; ".join(filter(None, (entry.metadata["doc"], constraint(entry))))


def _yaml(value: Any) -> str:
    return {bool: str(value).lower(), str: f'"{value}"'}.get(type(value), str(value))


def finding_rows() -> Iterator[str]:
    yield "| finding | task | level | message | remedy | not reported beside |"
    yield "|---|---|---|---|---|---|"
    for name, kind in KINDS.items():
        texts = [" ".join(_open(text).split()) for text in (kind.text, kind.remedy)]
        beside = ", ".join(f"`{cause}`" for cause in kind.follows_from)
        yield f"| `{name}` | {kind.task} | {LEVELS[kind.level]} | {' | '.join(texts)} | {beside} |"


def _open(text: str) -> str:
    """Text with the names of its fields, without their formats."""
    return "".join(literal + (f"*{name}*" if name else "") for literal, name, _, _ in Formatter().parse(text))


def manifest_rows() -> Iterator[str]:
    yield from ("| field | what | value |", "|---|---|---|")
    yield from _fields(schema(), "")


def _fields(rules: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, field in {**rules.get("properties", {}), "*": rules.get("additionalProperties")}.items():
        if not isinstance(field, dict):
            continue
        words = TYPES[field["type"]][1] if "type" in field else ""
        values = ", ".join(f"`{value}`" for value in field.get("enum", [field["const"]] if "const" in field else []))
        needed = "; required" if name in rules.get("required", ()) else ""
        yield f"| `{where}{name}` | {field.get('description', '')} | {values or words}{needed} |"
        yield from _fields(field, f"{where}{name}.")


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
