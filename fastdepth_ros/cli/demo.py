"""`fastdepth demo`: the node on a real ROS graph; its camera is a webcam, a video, a bag or a synthetic room."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.cli.options import add_backend_option, add_image_topic_option, add_model_option, number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--bag", type=Path, help="bag to play as the camera (default: a synthetic room, rendered once)")
    text = "webcam (number, /dev/videoN), video file or stream (rtsp://...) to use as the camera"
    source.add_argument("--camera", metavar="SOURCE", help=text)
    add_image_topic_option(parser)
    text = "horizontal field of view of the camera in degrees, where it has no camera_info; 0: unknown"
    parser.add_argument("--hfov-deg", type=number, default=0.0, metavar="DEG", help=text)
    parser.add_argument("--seconds", type=number, default=10.0, help="seconds to record depth for")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for demo.png and demo_bag")
    parser.add_argument(
        "--navigate", action="store_true",
        help="drive through a synthetic room and draw the obstacles that depth/points marks beside the true ones; "
        "writes navigate.png and navigate.mp4",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=7, help="seed of the room of --navigate")
    parser.add_argument(
        "--min-confidence",
        type=number,
        default=0.5,
        help="confidence gate of --navigate, where the model has confidence",
    )
    add_model_option(parser)
    add_backend_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.ros_tools.demo import bag_source, camera_source, run_demo, synthetic_source

    parsed.out.mkdir(parents=True, exist_ok=True)
    if parsed.navigate:
        from fastdepth_ros.ros_tools.navigate import run_navigate

        engine = {"backend": parsed.backend, "model": parsed.model}
        given = {name: value for name, value in engine.items() if value}
        run_navigate(parsed.out, parsed.seed, parsed.min_confidence, given)
        return
    if parsed.camera:
        source = camera_source(parsed.camera)
    else:
        source = bag_source(parsed.bag, parsed.image_topic) if parsed.bag else synthetic_source(parsed.out)
    parameters = {"backend": parsed.backend, "hfov_deg": str(parsed.hfov_deg), "model": parsed.model}
    run_demo(source, parsed.seconds, parsed.out, {name: value for name, value in parameters.items() if value})
