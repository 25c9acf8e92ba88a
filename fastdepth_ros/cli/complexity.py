"""`fastdepth complexity`: weights and multiply-accumulates of a channel list."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fastdepth_ros.nn.channels import NAMED, Channels
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.fastdepth import FastDepth

ERRORS = (ValueError,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channels", default="pruned", help=f"{', '.join(NAMED)}, or a JSON file with the keys encoder and decoder"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
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
        raise ValueError(f"no channel list {text!r}: there is {', '.join(NAMED)}, and no such file")
    return Channels.from_mapping(json.loads(Path(text).read_text()))
