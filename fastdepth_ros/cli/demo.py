"""`fastdepth demo`: the node on a real ROS graph, against a camera source, for everybody to see."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.artifact.artifact import DEFAULT_BACKEND
from fastdepth_ros.backends import backend_names
from fastdepth_ros.ros_tools.demo import bag_source, run_demo, synthetic_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bag", type=Path, help="bag to play as the camera (default: a synthetic room, rendered once)")
    parser.add_argument("--image-topic", default="", help="image topic of the bag (default: that with the most images)")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds to record depth for")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for demo.png and demo_bag")
    parser.add_argument("--model", default="", help="artifact folder or name of a bundled model")
    parser.add_argument(
        "--backend", default=DEFAULT_BACKEND, help=f"engine for the network: {', '.join(backend_names())}"
    )


def run(parsed: argparse.Namespace) -> None:
    parsed.out.mkdir(parents=True, exist_ok=True)
    source = bag_source(parsed.bag, parsed.image_topic) if parsed.bag else synthetic_source(parsed.out)
    node_parameters = {"backend": parsed.backend}
    if parsed.model:
        node_parameters["model"] = parsed.model
    run_demo(source, parsed.seconds, parsed.out, node_parameters)
