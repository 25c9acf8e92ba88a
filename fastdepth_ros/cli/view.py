"""`fastdepth view`: a running node in a browser or a window."""

from __future__ import annotations

import argparse

from fastdepth_ros.cli.options import add_view_options, number, print_address, view_options
from fastdepth_ros.errors import FastDepthError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_view_options(parser)
    parser.add_argument("--window", action="store_true", help="show a Rerun window instead of a page")
    parser.add_argument("--depth-topic", default="/depth/image", help="depth topic of the node")
    parser.add_argument("--image-topic", default="", help="image topic (default: the one that the node subscribes)")
    parser.add_argument("--rate", type=number, default=10.0, help="highest number of pictures per second")


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.node.subscription import check_topic
    from fastdepth_ros.ros_tools.viewer import show_node
    from fastdepth_ros.view.live_view import LiveView

    if not parsed.rate > 0:
        raise FastDepthError(f"--rate is {parsed.rate}, needs to be above 0")
    for topic in filter(None, (parsed.depth_topic, parsed.image_topic)):
        check_topic(topic)
    with LiveView(window=parsed.window, **view_options(parsed)) as view:
        print_address(view.url, parsed)
        show_node(view, parsed.depth_topic, parsed.image_topic, parsed.rate)
