"""`fastdepth live`: depth of a webcam, without ROS."""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import takewhile

from fastdepth_ros.cli.depth_options import (
    add_depth_options,
    add_field_option,
    add_focal_option,
    add_undistort_option,
    camera_matrix,
    estimator_options,
)
from fastdepth_ros.cli.options import (
    add_image_topic_option,
    add_model_options,
    add_view_options,
    load_chosen_model,
    print_address,
    view_options,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, auto=True)
    parser.add_argument("source", nargs="?", default="0", help="camera (number, /dev/videoN), rtsp://..., video or bag")
    parser.add_argument("--browser", action="store_true", help="serve a page instead of a window; needs no display")
    add_view_options(parser)
    add_image_topic_option(parser)
    add_field_option(parser)
    add_depth_options(parser)
    add_focal_option(parser)
    add_undistort_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.view.live_view import LiveView, Moment
    from fastdepth_ros.view.projection import depth_camera
    from fastdepth_ros.view.source import at_own_pace, depth_frames, open_source

    artifact, _, backend = load_chosen_model(parsed)
    estimator = artifact.estimator(backend, estimator_options(parsed))
    with (
        open_source(parsed.source, parsed.image_topic, undistort=parsed.undistort) as source,
        LiveView(window=not parsed.browser, **view_options(parsed)) as view,
    ):
        print_address(view.url, parsed)
        frames = source.frames if source.live else at_own_pace(source.frames)
        shown = takewhile(lambda _: view.running, frames)
        camera_of = partial(camera_matrix, focal_px=parsed.focal_px)
        for frame in depth_frames(source, shown, estimator, parsed.field_of_view, camera_of):
            depth, stages_ms = frame.result.depth, frame.result.stages_ms
            k = depth_camera(frame.result, frame.camera, artifact.trained_focal)
            view.show(Moment(frame.stamp_ns, frame.bgr, frame.view, depth, k, stages_ms))
        for note in source.notes():
            print(note, flush=True)
        print("the source has ended; Ctrl-C closes the view", flush=True)
        while view.running:
            time.sleep(0.2)
