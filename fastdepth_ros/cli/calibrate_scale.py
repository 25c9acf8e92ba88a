"""`fastdepth calibrate-scale`: fit the scale of the depth to a depth sensor or a known distance."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.bags.bag_files import BagError
from fastdepth_ros.bags.windows import Selection
from fastdepth_ros.cli.depth_options import add_field_option
from fastdepth_ros.cli.options import (
    add_camera_info_option,
    add_image_topic_option,
    add_json_option,
    add_model_options,
    add_time_options,
    add_tolerance_option,
    backend_options,
    load_model,
    number,
    require_suffix,
)
from fastdepth_ros.depth.geometry import INVERSE_DEPTH, LARGEST, SMALLEST, is_plausible
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.ros_tools.parameter_file import write_parameter

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact
    from fastdepth_ros.bags.request import Request

PARAMETER = "focal_scale"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--bag", type=Path, required=True, help="rosbag2 folder or ROS 1 .bag to fit the scale on")
    add_image_topic_option(parser)
    add_camera_info_option(parser)
    add_field_option(parser)
    parser.add_argument("--out", type=Path, metavar="YAML", help=f"parameter file to set {PARAMETER} in; may be new")
    parser.add_argument(
        "--picture", type=Path, metavar="PNG", help="plot of true over estimated depth, by distance and frame"
    )
    add_json_option(parser)
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument("--depth-topic", default="", help="topic of a depth sensor: 16UC1, 32FC1 or compressedDepth")
    truth.add_argument(
        "--distance", type=number, metavar="M", help="distance of the region along the optical axis, meters"
    )
    add_camera_info_option(parser, "depth", "depth sensor")
    add_tolerance_option(parser)
    parser.add_argument(
        "--region", type=int, nargs=4, metavar=("LEFT", "TOP", "WIDTH", "HEIGHT"),
        help="frame pixels that show the object at --distance (default: the center)",
    )  # fmt: skip
    which = parser.add_argument_group("selection of frames")
    add_time_options(which)
    which.add_argument("--rate", type=number, default=2.0, metavar="HZ", help="number of frames per second to use")


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.bags.calibration import Distance, calibration_plot, fit, fit_inverse, measure
    from fastdepth_ros.pictures.image_files import write_figure

    if parsed.picture:
        import matplotlib  # noqa: F401 - a missing module is an error before the work

        require_suffix(parsed.picture, ".png", "picture")
    if parsed.region and parsed.distance is None:
        raise FastDepthError("--region says where --distance is; a depth sensor is compared everywhere")
    distance = None if parsed.distance is None else Distance(parsed.distance, _region(parsed.region))
    artifact = find_artifact(parsed.model)
    depth = artifact.manifest["outputs"]["depth"]
    has_shift = depth["kind"] == INVERSE_DEPTH and (not artifact.is_metric or "spread" in depth)
    if has_shift and (parsed.distance is not None or parsed.out or parsed.picture):
        raise FastDepthError(
            f"scale and shift of {artifact.name} need many distances, and are written into its manifest",
            "give --depth-topic, without --out and --picture",
        )
    measured, unmeasured, notes = measure(parsed.bag, _request(parsed), distance)
    try:
        fitted = fit_inverse(measured, artifact.network) if has_shift else fit(measured)
        figures: dict[str, Any] = {**fitted, "unmeasured": unmeasured, "notes": notes}
    except BagError as error:
        reasons = "".join(f"\n  {count} frames: {reason}" for reason, count in unmeasured.items())
        reasons += "".join(f"\n  {note}" for note in notes)
        raise BagError(f"{parsed.bag}: {error}{reasons}") from error
    if not has_shift and not is_plausible(figures["scale"]):
        raise FastDepthError(
            f"truth / depth is {figures['scale']:.4g}, and focal_scale can be {SMALLEST} to {LARGEST:g}",
            "check that distances are in meters, and 16UC1 in millimeters",
        )
    if parsed.picture:
        write_figure(parsed.picture, calibration_plot(measured, figures))
    if has_shift:
        _keep_pair(artifact, figures, parsed.json)
        return
    scale = f"{figures['scale']:.4f}"
    if parsed.out:
        write_parameter(parsed.out, PARAMETER, scale)
    if parsed.json:
        print(json.dumps(figures))
        return
    _print(figures)
    if parsed.out:
        print(f'{parsed.out}: {PARAMETER}: "{scale}"')


def _keep_pair(artifact: Artifact, figures: dict[str, Any], as_json: bool) -> None:
    """Write scale and shift of an inverse depth into the manifest, and print them."""
    from fastdepth_ros.artifact.record import record_output

    record_output(artifact, "depth", **{name: figures[name] for name in ("scale", "shift", "spread", "metric")})
    if as_json:
        print(json.dumps(figures))
        return
    print(f"1 / depth = {figures['scale']:.5g} d {figures['shift']:+.5g}, medians over {figures['frames']} frames")
    print(f"  by their own scale and shift, nine frames of ten differ by {100 * figures['spread']:.0f} % or less")
    if figures["metric"]:
        print(f"{artifact.folder}: its depth is in meters")
    else:
        print(f"{artifact.folder}: marked as not metric: no one scale and shift holds for all frames")
    for reason, count in figures["unmeasured"].items():
        print(f"  {count} frames not compared: {reason}")


def _region(given: list[int] | None) -> tuple[int, int, int, int] | None:
    if given is None:
        return None
    left, top, width, height = given
    if min(width, height) < 1:
        raise FastDepthError(f"a region of {width}x{height} pixels is empty")
    return left, top, width, height


def _request(parsed: argparse.Namespace) -> Request:
    from fastdepth_ros.bags.camera import busiest_camera_topic
    from fastdepth_ros.bags.reader import open_bag
    from fastdepth_ros.bags.request import ModelRecipe, Request, Truth

    artifact, backend = load_model(parsed)
    options = backend_options(parsed)
    estimating = EstimatorOptions(parsed.field_of_view)
    name = parsed.backend or artifact.default_backend
    recipe = ModelRecipe(artifact.folder.resolve(), name, options, backend.engine, estimating)
    image_topic = parsed.image_topic
    if not image_topic:
        with open_bag(parsed.bag) as reader:
            image_topic = busiest_camera_topic(reader)
    truth = Truth(parsed.depth_topic, parsed.depth_camera_info_topic, parsed.tolerance)
    selection = Selection(parsed.start, parsed.end, 1, parsed.rate)
    return Request(
        recipe, image_topic, parsed.camera_info_topic, truth if parsed.depth_topic else None, selection=selection
    )


def _print(figures: dict[str, Any]) -> None:
    by_frame = figures["by_frame"]
    print(f"truth / depth: {figures['scale']:.4f}, of {figures['frames']} frames and {figures['pixels']} pixels")
    print("  half of the pixels lie in {:.3f} to {:.3f}".format(*figures["iqr"]))
    print(f"  frames' own medians: {by_frame['p05']:.3f} to {by_frame['p95']:.3f} (5th to 95th percent)")
    if figures["auto"] is None:
        print("  the camera is unknown: auto would not scale")
    else:
        away = 100 * (figures["scale"] / figures["auto"] - 1)
        print(f"  auto, by camera_info alone, gives {figures['auto']:.4f}; the fit is {away:+.1f} % from it")
    for reason, count in figures["unmeasured"].items():
        print(f"  {count} frames not compared: {reason}")
    for note in figures["notes"]:
        print(f"  {note}")
