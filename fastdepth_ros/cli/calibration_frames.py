"""Options for the frames that a quantizer calibrates on, and the network inputs made of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastdepth_ros.cli.depth_options import add_field_option
from fastdepth_ros.cli.options import add_image_topic_option, require_at_least

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact


def add_calibration_options(parser: argparse.ArgumentParser) -> None:
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument("--images", type=Path, metavar="DIR", help="folder of images of your camera to calibrate on")
    frames.add_argument("--bag", metavar="BAG", help="bag or video to calibrate on (default: synthetic rooms)")
    add_image_topic_option(parser)
    parser.add_argument("--frames", type=int, default=32, help="number of frames to calibrate on, evenly spaced")
    add_field_option(parser)


def calibration_frames(parsed: argparse.Namespace, artifact: Artifact) -> tuple[list[np.ndarray], str]:
    """The network inputs, uint8 (height, width, 3) RGB, and in words what they are of.

    Raises:
        FastDepthError: no frame is asked for, or the source of frames cannot be read.
    """
    from fastdepth_ros.view.frame_sample import sample_bag, sample_folder, sample_rooms

    require_at_least(parsed, 1, "frames")
    if parsed.images:
        found, name = sample_folder(parsed.images, parsed.frames), parsed.images.name
    elif parsed.bag:
        found, name = sample_bag(parsed.bag, parsed.image_topic, parsed.frames), Path(parsed.bag).name
    else:
        found, name = sample_rooms(parsed.frames), "synthetic rooms"
    given, view = artifact.network.input, parsed.field_of_view
    return [given.pixels(frame, given.place(view, frame.pixels.shape[:2])) for frame in found], name
