"""`fastdepth complexity`: weights and multiply-accumulates of a channel list, or of the rows of the paper's tables."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from fastdepth_ros.cli.options import add_json_option
from fastdepth_ros.nn.channels import NAMED, find_channels

TABLES = (1, 3, 4, 5, 7)  # keys of nn.paper.tables.TABLES, which needs torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    text = f"channel counts: {', '.join(NAMED)}, or a JSON file with the keys encoder and decoder"
    chosen.add_argument("--channels", default="pruned", help=text)
    text = "number of a table of the paper; its rows are counted and compared with its figures"
    chosen.add_argument("--table", type=int, choices=TABLES, help=text)
    add_json_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.nn.complexity import complexity
    from fastdepth_ros.nn.network import FastDepth
    from fastdepth_ros.nn.paper.table_text import table_as_json, table_as_text

    if parsed.table is not None:
        print((table_as_json if parsed.json else table_as_text)(parsed.table))
        return
    parts = complexity(FastDepth(find_channels(parsed.channels)))
    if parsed.json:
        total = asdict(parts.pop("total"))
        print(json.dumps({**total, "parts": {name: asdict(part) for name, part in parts.items()}}))
        return
    print(f"{'':<10}{'weights':>12}{'MACs':>14}   at 224x224, convolution kernels only")
    for name, part in parts.items():
        print(f"{name:<10}{part.weights:>12,}{part.macs:>14,}")
