"""Counted tables of the paper as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict

from fastdepth_ros.nn.complexity import Complexity
from fastdepth_ros.nn.paper.tables import CONVENTION, TABLES, UNITS, Row, Table, as_printed


def table_as_json(number: int) -> str:
    """A counted table as JSON: each row's counts beside the paper's figures."""
    table = TABLES[number]
    counts = [row.count() for row in table.rows]
    rows = [
        {
            "name": row.name, **asdict(count), "input_px": row.size_px, "paper": _numbers(row.paper),
            "agrees": row.agrees(count), "explained": row.explained, "random_weights": row.random_weights,
        }
        for row, count in zip(table.rows, counts)
    ]  # fmt: skip
    facts = {"table": number, "title": table.title, "counted": table.counted, "convention": CONVENTION, "rows": rows}
    if table.reductions:
        facts["reductions"] = {**_reductions(counts), "paper": _numbers(table.reductions)}
    return json.dumps(facts)


def _numbers(printed: Mapping[str, str]) -> dict[str, float]:
    return {column: float(figure) for column, figure in printed.items()}


def table_as_text(number: int) -> str:
    """A counted table as text, with a note for each row that differs from the paper."""
    table = TABLES[number]
    counts = [row.count() for row in table.rows]
    lines = [*_wrapped(f"Table {number}, {table.title}: {table.counted}. {CONVENTION}"), ""]
    lines.append(f"{'':<34}{'input':>9}{'weights':>13}{'paper':>8}{'MACs':>17}{'paper':>8}")
    notes = []
    for row, count in zip(table.rows, counts):
        lines.append(_row_as_text(row, count))
        if not row.agrees(count):
            notes.append(row)
            lines[-1] += f"  differs [{len(notes)}]"
    lines += _reductions_as_text(table, counts)
    for index, row in enumerate(notes, start=1):
        lines += ["", *_wrapped(f"[{index}] {row.name}: {row.explained}")]
    return "\n".join(lines)


def _row_as_text(row: Row, count: Complexity) -> str:
    size = f"{row.size_px[0]}x{row.size_px[1]}"
    weights, macs = (row.paper.get(column) for column in UNITS)
    printed = [f"{weights} M" if weights else "-", f"{macs} G"]
    return f"{row.name:<34}{size:>9}{count.weights:>13,}{printed[0]:>8}{count.macs:>17,}{printed[1]:>8}"


def _reductions(counts: list[Complexity]) -> dict[str, float]:
    first, last = counts[0], counts[-1]
    return {"weights_m": first.weights / last.weights, "macs_g": first.macs / last.macs}


def _reductions_as_text(table: Table, counts: list[Complexity]) -> list[str]:
    if not table.reductions:
        return []
    cells = []
    for (column, factor), width in zip(_reductions(counts).items(), (22, 17)):
        printed = table.reductions[column]
        cells.append(f"{as_printed(factor, printed) + 'x':>{width}}{printed + 'x':>8}")
    return [f"{'reduction':<34}{''.join(cells)}"]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100)
