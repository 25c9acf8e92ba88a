"""`fastdepth report`: one HTML page about a recording with depth."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.view.figures import read_figures
from fastdepth_ros.view.recorded import DEPTH_TOPICS, read_recorded
from fastdepth_ros.view.report import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="bag with depth, recorded from the node or written by `fastdepth bag`")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="HTML page to write")
    parser.add_argument("--depth-topic", default="", help=f"depth topic (default: {' or '.join(DEPTH_TOPICS)})")
    parser.add_argument("--images", type=Path, metavar="BAG", help="bag with the camera images (default: the same bag)")
    parser.add_argument("--image-topic", default="", help="topic of the camera (default: that with the most images)")
    parser.add_argument(
        "--metrics", type=Path, metavar="JSON",
        help="metrics written by `fastdepth evaluate --json` or `fastdepth bag --truth-topic`",
    )  # fmt: skip
    parser.add_argument("--frames", type=int, default=60, help="number of frames shown as pictures")
    parser.add_argument("--force", action="store_true", help="overwrite an existing page")


def run(parsed: argparse.Namespace) -> None:
    if parsed.out.exists() and not parsed.force:
        raise FastDepthError(f"{parsed.out} exists; choose another --out, or --force")
    if parsed.frames < 1:
        raise FastDepthError(f"--frames is {parsed.frames}, needs at least 1")
    figures = read_figures(parsed.metrics) if parsed.metrics else None
    recorded = read_recorded(
        parsed.bag, depth_topic=parsed.depth_topic, images=parsed.images, image_topic=parsed.image_topic,
        shown=parsed.frames,
    )  # fmt: skip
    write_report(parsed.out, recorded, figures)
    for note in recorded.notes:
        print(note)
    print(f"{parsed.out}: {len(recorded.stamps_ns)} depth images, {parsed.out.stat().st_size / 1e6:.1f} MB")
