"""`fastdepth bag`: depth for every frame of a recorded bag."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from fastdepth_ros.bags.depth_bag import write_depth_bag
from fastdepth_ros.bags.recording import BagError
from fastdepth_ros.cli.options import MODEL_ERRORS, add_model_options, load_model
from fastdepth_ros.depth.estimator import OUTPUTS, DepthEstimator
from fastdepth_ros.depth.geometry import FIELDS_OF_VIEW

ERRORS = (BagError, *MODEL_ERRORS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("bag", type=Path, help="rosbag2 folder (mcap, sqlite3) or ROS 1 .bag")
    parser.add_argument("--image-topic", required=True, help="Image or CompressedImage topic")
    parser.add_argument("--camera-info-topic", default="", help="default: camera_info beside the image topic")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new bag, must not exist")
    parser.add_argument("--field-of-view", choices=FIELDS_OF_VIEW, default="trained", help="what the network sees")
    parser.add_argument("--output-size", choices=OUTPUTS, default="network", help="grid of the depth")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(parsed: argparse.Namespace) -> None:
    artifact, backend = load_model(parsed)
    estimator = DepthEstimator(backend, artifact.input_size_px, field=parsed.field_of_view, output=parsed.output_size)
    started = time.perf_counter()
    summary = write_depth_bag(
        parsed.bag, parsed.image_topic, parsed.out, estimator, camera_info_topic=parsed.camera_info_topic
    )
    seconds = time.perf_counter() - started
    if parsed.json:
        facts = {"model": artifact.name, "backend": backend.engine, "seconds": round(seconds, 3)}
        print(json.dumps({**asdict(summary), **facts}))
        return
    print(f"{parsed.out}: {summary.frames_out} of {summary.frames_in} frames in {seconds:.1f} s")
    for reason, count in summary.dropped.items():
        print(f"  {count} dropped: {reason}")
    if not summary.camera_infos_out:
        print("  no camera_info of the frames' size: depth/camera_info is empty")
