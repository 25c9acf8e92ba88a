"""`fastdepth live`: depth of a webcam, without ROS."""

from __future__ import annotations

import argparse
import time
import webbrowser

import numpy as np

from fastdepth_ros.artifact.artifact import Artifact
from fastdepth_ros.cli.depth_options import (
    add_depth_options,
    add_field_option,
    add_focal_option,
    camera_matrix,
    estimator_options,
)
from fastdepth_ros.cli.options import add_image_topic_option, add_model_options, add_view_options, load_model
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.depth.geometry import field_of_view
from fastdepth_ros.pictures.image_files import as_bgr
from fastdepth_ros.view.live_view import LiveView, Moment
from fastdepth_ros.view.source import Source, open_source

LONGEST_PAUSE_S = 5.0  # between two frames of a recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("source", nargs="?", default="0", help="camera (number, /dev/videoN), rtsp://..., video or bag")
    parser.add_argument("--browser", action="store_true", help="serve a page instead of a window; needs no display")
    add_view_options(parser)
    add_image_topic_option(parser)
    add_field_option(parser)
    add_depth_options(parser)
    add_focal_option(parser)


def run(parsed: argparse.Namespace) -> None:
    artifact, backend = load_model(parsed)
    estimator = artifact.estimator(backend, estimator_options(parsed))
    with (
        open_source(parsed.source, parsed.image_topic) as source,
        LiveView(
            window=not parsed.browser, host=parsed.host, web_port=parsed.port, data_port=parsed.data_port
        ) as view,
    ):  # fmt: skip
        if view.url:
            print(f"open {view.url}", flush=True)
            if parsed.open:
                webbrowser.open(view.url)
        _show(source, estimator, view, artifact, parsed)
        for note in source.notes():
            print(note, flush=True)
        print("the source has ended; Ctrl-C closes the view", flush=True)
        while view.running:
            time.sleep(0.2)


def _show(
    source: Source, estimator: DepthEstimator, view: LiveView, artifact: Artifact, parsed: argparse.Namespace
) -> None:
    due_s, last_ns = time.monotonic(), None
    for stamp_ns, frame, found in source.frames:
        if not view.running:
            return
        if not source.live and last_ns is not None:  # a recording runs as fast as it did, but for long pauses
            due_s += min((stamp_ns - last_ns) / 1e9, LONGEST_PAUSE_S)
            time.sleep(max(due_s - time.monotonic(), 0))
        last_ns = stamp_ns
        camera = camera_matrix(frame, parsed.focal_px)
        camera = found if camera is None else camera
        try:
            crop = field_of_view(parsed.field_of_view, *frame.pixels.shape[:2])
            result, bgr = estimator(frame, camera), as_bgr(frame)
        except FrameError as error:  # of this frame; the next may be good
            source.leave_out(str(error))
            continue
        seen = bgr[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        k = _depth_camera(artifact, result, camera)
        view.show(Moment(stamp_ns, bgr, seen, result.depth, k, result.stages_ms))


def _depth_camera(artifact: Artifact, result: DepthResult, camera: np.ndarray | None) -> np.ndarray | None:
    """3x3 of the depth image; of an unknown camera that of the training camera, which the network assumes."""
    if camera is not None:
        return result.from_frame @ np.reshape(camera, (3, 3))
    rows, columns = result.depth.shape
    focal = artifact.trained_focal
    if focal is None:
        return None
    return np.array([[focal.fx, 0, (columns - 1) / 2], [0, focal.fy, (rows - 1) / 2], [0, 0, 1.0]])
