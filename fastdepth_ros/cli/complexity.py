"""`fastdepth complexity`: weights and multiply-accumulates of a channel list, or of the rows of the paper's tables."""

from __future__ import annotations

import argparse
import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import read_json
from fastdepth_ros.nn.channels import NAMED, Channels
from fastdepth_ros.nn.complexity import Complexity, complexity
from fastdepth_ros.nn.fastdepth import FastDepth
from fastdepth_ros.nn.paper.tables import CONVENTION, TABLES, UNITS, Row, Table, as_printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--channels", default="pruned",
        help=f"channel counts: {', '.join(NAMED)}, or a JSON file with the keys encoder and decoder",
    )  # fmt: skip
    chosen.add_argument(
        "--table", type=int, choices=sorted(TABLES),
        help="number of a table of the paper; its rows are counted and compared with its figures",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
    if parsed.table is not None:
        table = TABLES[parsed.table]
        counts = [row.count() for row in table.rows]
        print(_table_as_json(parsed.table, counts) if parsed.json else _table_as_text(parsed.table, counts))
        return
    parts = complexity(FastDepth(channels_from(parsed.channels)))
    if parsed.json:
        total = asdict(parts.pop("total"))
        print(json.dumps({**total, "parts": {name: asdict(part) for name, part in parts.items()}}))
        return
    print(f"{'':<10}{'weights':>12}{'MACs':>14}   at 224x224, convolution kernels only")
    for name, part in parts.items():
        print(f"{name:<10}{part.weights:>12,}{part.macs:>14,}")


def channels_from(text: str) -> Channels:
    """A named channel list, or one in a JSON file."""
    if text in NAMED:
        return NAMED[text]
    if not Path(text).is_file():
        raise FastDepthError(f"no channel list {text!r}: there is {', '.join(NAMED)}, and no such file")
    return Channels.from_mapping(read_json(Path(text)))


def _table_as_json(number: int, counts: list[Complexity]) -> str:
    table = TABLES[number]
    rows = []
    for row, count in zip(table.rows, counts):
        rows.append(
            {
                "name": row.name,
                **asdict(count),
                "input_px": row.size_px,
                "paper": {column: float(figure) for column, figure in row.paper.items()},
                "agrees": row.agrees(count),
                "explained": row.explained,
                "random_weights": row.random_weights,
            }
        )
    found: dict[str, Any] = {"table": number, "title": table.title, "counted": table.counted, "convention": CONVENTION}
    found["rows"] = rows
    if table.reductions:
        paper = {column: float(figure) for column, figure in table.reductions.items()}
        found["reductions"] = {**_reductions(counts), "paper": paper}
    return json.dumps(found)


def _table_as_text(number: int, counts: list[Complexity]) -> str:
    table = TABLES[number]
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
