"""`fastdepth video`: a side-by-side mp4 of a bag, a video or a camera."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from fastdepth_ros.cli.depth_options import (
    add_bits_option,
    add_depth_options,
    add_field_option,
    add_focal_option,
    add_undistort_option,
    camera_matrix,
    estimator_options,
)
from fastdepth_ros.cli.options import (
    add_force_option,
    add_image_topic_option,
    add_model_options,
    load_chosen_model,
    number,
    require_new,
    require_suffix,
)
from fastdepth_ros.errors import FastDepthError

if TYPE_CHECKING:
    from fastdepth_ros.depth.estimator import DepthEstimator
    from fastdepth_ros.view.source import Source
    from fastdepth_ros.view.video import VideoWriter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, auto=True)
    parser.add_argument("source", help="bag, video file, camera (number or /dev/videoN), or rtsp://...")
    parser.add_argument("--out", type=Path, required=True, metavar="MP4", help="H.264 video to write")
    add_image_topic_option(parser)
    add_field_option(parser)
    add_depth_options(parser)
    add_bits_option(parser)
    add_focal_option(parser)
    add_undistort_option(parser)
    parser.add_argument("--height", type=int, default=480, help="height of the video in pixels")
    text = "length in seconds; 0: to the source's end or Ctrl-C"
    parser.add_argument("--seconds", type=number, default=0.0, help=text)
    add_force_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.view.source import open_source
    from fastdepth_ros.view.video import VideoWriter

    require_suffix(parsed.out, ".mp4", "video")
    require_new([parsed.out], parsed)
    if parsed.height < 32 or parsed.height % 2:
        raise FastDepthError(f"--height is {parsed.height}, needs an even number from 32 on")
    artifact, _, backend = load_chosen_model(parsed)
    estimator = artifact.estimator(backend, estimator_options(parsed))
    started = time.perf_counter()
    with (
        open_source(parsed.source, parsed.image_topic, parsed.bits, parsed.undistort) as source,
        VideoWriter(parsed.out) as writer,
    ):
        try:
            _write(source, estimator, writer, parsed)
        except KeyboardInterrupt:
            if not source.live:
                raise
    seconds = time.perf_counter() - started
    print(f"{parsed.out}: {writer.pictures} pictures in {seconds:.1f} s")
    for note in source.notes():
        print(f"  {note}")


def _write(source: Source, estimator: DepthEstimator, writer: VideoWriter, parsed: argparse.Namespace) -> None:
    from fastdepth_ros.view.source import depth_frames
    from fastdepth_ros.view.video import side_by_side

    frames, first_ns = tqdm(source.frames, total=source.total or None, unit="frame"), None
    camera_of = partial(camera_matrix, focal_px=parsed.focal_px)
    for frame in depth_frames(source, frames, estimator, parsed.field_of_view, camera_of):
        first_ns = frame.stamp_ns if first_ns is None else first_ns
        if parsed.seconds and frame.stamp_ns - first_ns > parsed.seconds * 1e9:
            break
        writer.write(frame.stamp_ns, side_by_side(frame.view, frame.result.depth, parsed.height))
    if source.reasons and not writer.pictures:
        raise FastDepthError(f"{parsed.source} gives no picture: {'; '.join(source.notes())}")
