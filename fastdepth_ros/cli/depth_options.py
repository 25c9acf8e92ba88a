"""Options of the verbs that compute depth: what is made of what the network says."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from fastdepth_ros.cli.options import number
from fastdepth_ros.depth.camera_info import is_usable
from fastdepth_ros.depth.geometry import AUTO, FIELDS_OF_VIEW, pinhole
from fastdepth_ros.depth.options import OUTSIDE, EstimatorOptions, PointsOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.parameters import Settings

if TYPE_CHECKING:
    from fastdepth_ros.depth.frame import Frame


def add_depth_options(parser: argparse.ArgumentParser) -> None:
    """Add options that mean the same as the node's parameters of these names."""
    parser.add_argument(
        "--focal-scale", default=AUTO, metavar="auto|off|NUMBER",
        help="factor that depth is multiplied by; auto: from the camera's focal length, 1 if unknown",
    )  # fmt: skip
    parser.add_argument(
        "--max-depth", type=number, default=0.0, metavar="M",
        help="range in meters; beyond it depth is +inf; 0: no limit",
    )  # fmt: skip
    parser.add_argument(
        "--outside-training-view", choices=OUTSIDE, default="keep",
        help="depth at wider angles than the training camera saw: keep it or make it NaN",
    )  # fmt: skip
    parser.add_argument(
        "--min-confidence", type=number, default=0.0, metavar="P",
        help="confidence below which depth is NaN; 0: off; needs a model with confidence",
    )  # fmt: skip


def add_field_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--field-of-view", choices=FIELDS_OF_VIEW, default="trained", help="part of the frame that the network sees"
    )


def add_bits_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bits", type=int, default=0, metavar="N",
        help="number of low bits of 16-bit samples that the sensor uses; 0: found from the frames",
    )  # fmt: skip


def add_undistort_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--undistort", nargs="?", const="", metavar="YAML",
        help="take the lens distortion out of the frames, by the bag's camera_info or by a file of camera_calibration",
    )  # fmt: skip


def add_points_options(parser: argparse.ArgumentParser) -> None:
    """Add options that mean the same as the node's parameters `points_*`."""
    group = parser.add_argument_group("point cloud", "filters as of the node's parameters of these names")
    group.add_argument("--points", action="store_true", help="write /depth/points, a PointCloud2 of each depth image")
    for parameter in fields(Settings):
        if parameter.name.startswith("points_"):
            option, default = "--" + parameter.name.replace("_", "-"), parameter.default
            value = {"action": "store_true"} if default is False else {"type": type(default), "default": default}
            group.add_argument(option, help=parameter.metadata["doc"], **value)


def points_options(parsed: argparse.Namespace) -> PointsOptions | None:
    """Settings given by `add_points_options`, None without --points.

    Raises:
        FastDepthError: a value that is not allowed.
    """
    options = PointsOptions(**{one.name: getattr(parsed, f"points_{one.name}") for one in fields(PointsOptions)})
    return options if parsed.points else None


def add_focal_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--focal-px", type=number, default=0.0, metavar="F",
        help="focal length of the camera in pixels, to scale the depth by (default: that of the training camera)",
    )  # fmt: skip


def camera_matrix(frame: Frame, focal_px: float) -> np.ndarray | None:
    """`pinhole` of the frame; None where no focal length was given."""
    if not focal_px:
        return None
    matrix = pinhole(frame.pixels.shape[:2], focal_px)
    if not is_usable(matrix):
        raise FastDepthError(f"--focal-px is {focal_px:g}, which is no camera's focal length in pixels")
    return matrix


def estimator_options(
    parsed: argparse.Namespace, field_of_view: str = "", output_size: str = "network"
) -> EstimatorOptions:
    """Settings given by `add_depth_options`.

    Args:
        field_of_view: field of view in place of the one given by `add_field_option`.

    Raises:
        FastDepthError: a value that is not allowed.
    """
    return EstimatorOptions(
        field_of_view=field_of_view or parsed.field_of_view,
        output_size=output_size,
        focal_scale=parsed.focal_scale,
        max_depth_m=parsed.max_depth,
        outside_training_view=parsed.outside_training_view,
        min_confidence=parsed.min_confidence,
    )
