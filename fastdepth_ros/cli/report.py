"""`fastdepth report`: one HTML page about a recording with depth."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.bags.recording import BagError
from fastdepth_ros.view.figures import FiguresError, read_figures
from fastdepth_ros.view.recorded import DEPTH_TOPICS, read_recorded
from fastdepth_ros.view.report import write_report

ERRORS = (BagError, FiguresError, ValueError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="bag with depth, as the node or `fastdepth bag` wrote it")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="the page")
    parser.add_argument("--depth-topic", default="", help=f"default: {' or '.join(DEPTH_TOPICS)}")
    parser.add_argument("--images", type=Path, metavar="BAG", help="bag with the camera's images (default: the same)")
    parser.add_argument("--image-topic", default="", help="of the camera (default: its topic with the most images)")
    parser.add_argument("--metrics", type=Path, metavar="JSON", help="of evaluate --json, or of bag --truth-topic")
    parser.add_argument("--frames", type=int, default=60, help="how many moments get a picture (default 60)")
    parser.add_argument("--force", action="store_true", help="replace a page that exists")


def run(parsed: argparse.Namespace) -> None:
    if parsed.out.exists() and not parsed.force:
        raise ValueError(f"{parsed.out} exists; choose another --out, or --force")
    if parsed.frames < 1:
        raise ValueError(f"--frames is {parsed.frames}, needs at least 1")
    figures = read_figures(parsed.metrics) if parsed.metrics else None
    recorded = read_recorded(
        parsed.bag, depth_topic=parsed.depth_topic, images=parsed.images, image_topic=parsed.image_topic,
        shown=parsed.frames,
    )  # fmt: skip
    write_report(parsed.out, recorded, figures)
    for note in recorded.notes:
        print(note)
    print(f"{parsed.out}: {len(recorded.stamps_ns)} depth images, {parsed.out.stat().st_size / 1e6:.1f} MB")
