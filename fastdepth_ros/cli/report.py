"""`fastdepth report`: one HTML page about a recording with depth."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.cli.options import add_force_option, add_image_topic_option, require_at_least, require_new
from fastdepth_ros.view.figures import read_figures

DEPTH_TOPICS = ("/depth/image", "/depth/image_raw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="bag with depth, recorded from the node or written by `fastdepth bag`")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="HTML page to write")
    parser.add_argument("--depth-topic", default="", help=f"depth topic (default: {' or '.join(DEPTH_TOPICS)})")
    parser.add_argument("--images", type=Path, metavar="BAG", help="bag with the camera images (default: the same bag)")
    add_image_topic_option(parser)
    text = "metrics written by `fastdepth evaluate --json` or `fastdepth bag --truth-topic`"
    parser.add_argument("--metrics", type=Path, metavar="JSON", help=text)
    parser.add_argument("--frames", type=int, default=60, help="number of frames shown as pictures")
    add_force_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.view.recorded import read_recorded
    from fastdepth_ros.view.report import write_report

    require_new([parsed.out], parsed)
    require_at_least(parsed, 1, "frames")
    figures = read_figures(parsed.metrics) if parsed.metrics else None
    recorded = read_recorded(
        parsed.bag, depth_topic=parsed.depth_topic, images=parsed.images, image_topic=parsed.image_topic,
        shown=parsed.frames,
    )  # fmt: skip
    write_report(parsed.out, recorded, figures)
    for note in recorded.notes:
        print(note)
    print(f"{parsed.out}: {len(recorded.stamps_ns)} depth images, {parsed.out.stat().st_size / 1e6:.1f} MB")
