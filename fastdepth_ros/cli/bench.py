"""`fastdepth bench`: latencies on this device, one report."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.backends import backend_names
from fastdepth_ros.backends.base import PRECISIONS
from fastdepth_ros.cli.options import add_json_option

ROUNDS, FRAMES = 10, 20  # of a run that is not --quick


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("bench"), help="folder for the report, JSON and plots")
    parser.add_argument("--quick", action="store_true", help="take under a minute: fewer rounds, no per-step timing")
    parser.add_argument(
        "--models", nargs="+", default=[""], metavar="M", help="artifact folders or names of bundled models"
    )
    parser.add_argument(
        "--backends", nargs="+", default=[], metavar="B",
        help=f"engines to time: {', '.join(backend_names())} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", nargs="+", type=_count, default=[], metavar="N",
        help="numbers of engine threads to time (default: 1 and all cores)",
    )  # fmt: skip
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=["fp32"],
        help="numeric precisions to time (default: fp32)",
    )  # fmt: skip
    parser.add_argument("--power-save", action="store_true", help="also time the engines with power_save")
    parser.add_argument("--device", default="cpu", help="device that the engines run on")
    parser.add_argument("--rounds", type=_count, help=f"number of rounds over all candidates (default: {ROUNDS})")
    parser.add_argument("--frames", type=_count, help=f"number of timed frames per round (default: {FRAMES})")
    parser.add_argument(
        "--peers", action="store_true", help="also time networks of other papers; needs torch and some GB"
    )
    parser.add_argument("--no-node", action="store_true", help="do not time the node on a ROS graph")
    parser.add_argument("--power-mode", default="", help="power mode, for the report (default on a Jetson: its own)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="results of an earlier run to compare with")
    table = parser.add_argument_group("timing of a table of the paper instead")
    table.add_argument("--table", type=int, choices=[6], help="number of the table whose rows are timed")
    table.add_argument("--db", type=Path, help="folder for tuning records; TVM's code is tuned first")
    table.add_argument("--trials", type=int, default=1000, help="number of tuning trials per network")
    add_json_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.bench.plan import Request
    from fastdepth_ros.bench.report import comparison, write_report
    from fastdepth_ros.bench.results import caveats, changes, read_results, write_results
    from fastdepth_ros.bench.run import run_bench, summary, write_plots

    if parsed.table:
        _run_table(parsed)
        return
    before = read_results(parsed.compare) if parsed.compare else None
    request = Request(
        parsed.models, parsed.backends, parsed.threads, parsed.precisions, parsed.device, parsed.power_save
    )
    results = run_bench(
        request, quick=parsed.quick, rounds=parsed.rounds, frames=parsed.frames, peers=parsed.peers,
        node=not parsed.no_node, mode=parsed.power_mode,
    )  # fmt: skip
    parsed.out.mkdir(parents=True, exist_ok=True)
    write_results(parsed.out / "bench.json", results)
    compared = ""
    if before:
        compared = comparison(changes(before, results), caveats(before, results), str(parsed.compare))
    plots = write_plots(parsed.out, results)
    write_report(parsed.out / "bench.md", results, plots, compared)
    if parsed.json:
        print(json.dumps(results))
        return
    print(summary(results))
    if compared:
        print(f"\n{compared}")
    print(f"written: {', '.join(str(parsed.out / name) for name in ('bench.md', 'bench.json', *plots))}")


def _run_table(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.bench.paper_table6 import ROWS, Tuning, table6, table6_text  # late: they need torch and TVM

    rounds, frames = parsed.rounds or 5, parsed.frames or 10
    tuning = Tuning(parsed.db, parsed.trials) if parsed.db else None
    threads = parsed.threads[0] if parsed.threads else 0
    with tqdm(total=rounds * 2 * len(ROWS), unit="turn", disable=not sys.stderr.isatty()) as bar:
        rows = table6(rounds, frames, threads, tuning, bar.update)
    print(json.dumps({"table": 6, "rows": [asdict(row) for row in rows]}) if parsed.json else table6_text(rows))


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
