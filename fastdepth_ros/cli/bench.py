"""`fastdepth bench`: latencies on this device."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.bench.table6 import ROWS, Row, Tuning, table6
from fastdepth_ros.deploy.compile import CompileError
from fastdepth_ros.deploy.records import RecordsError
from fastdepth_ros.deploy.targets import TargetError
from fastdepth_ros.deploy.tune import TuneError

ERRORS = (ArithmeticError, CompileError, RecordsError, TargetError, TuneError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=int, choices=[6], required=True, help="table of the paper whose rows are timed")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each network gets (default 5)")
    parser.add_argument("--frames", type=int, default=10, help="timed frames in a turn (default 10)")
    parser.add_argument("--threads", type=int, default=0, help="of the engines; 0 leaves it to them")
    parser.add_argument("--db", type=Path, help="tune TVM's code first, with records in this folder")
    parser.add_argument("--trials", type=int, default=1000, help="of that tuning, per network (default 1000)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
    tuning = Tuning(parsed.db, parsed.trials) if parsed.db else None
    with tqdm(total=parsed.rounds * 2 * len(ROWS), unit="turn", disable=not sys.stderr.isatty()) as bar:
        rows = table6(parsed.rounds, parsed.frames, parsed.threads, tuning, bar.update)
    print(json.dumps({"table": 6, "rows": [asdict(row) for row in rows]}) if parsed.json else _as_text(rows))


def _as_text(rows: list[Row]) -> str:
    lines = [f"{'decoder':<24}{'PyTorch ms':>12}{'TVM ms':>9}{'factor':>8}   medians; MobileNet-NNConv5, not pruned"]
    for row in rows:
        factor = row.pytorch.median_ms / row.tvm.median_ms
        note = "" if row.tuned == row.kernels else f"   {row.kernels - row.tuned} of {row.kernels} kernels not tuned"
        lines.append(f"{row.name:<24}{row.pytorch.median_ms:>12.1f}{row.tvm.median_ms:>9.1f}{factor:>7.1f}x{note}")
    return "\n".join(lines)
