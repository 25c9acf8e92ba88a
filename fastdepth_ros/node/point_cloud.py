"""The sensor_msgs/PointCloud2 of a frame's depth, as the parameters `points_*` ask for it."""

from __future__ import annotations

from array import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from fastdepth_ros.depth.estimator import DepthResult
from fastdepth_ros.depth.options import PointsOptions
from fastdepth_ros.depth.points import POINT_STEP, filtered_points, point_layout
from fastdepth_ros.node.parameters import Settings

FIELDS = [PointField(name=name, offset=offset, datatype=kind, count=1) for name, offset, kind in point_layout()]


def points_options(settings: Settings) -> PointsOptions:
    return PointsOptions(
        settings.points_stride,
        settings.points_max_m,
        settings.points_min_confidence,
        settings.points_max_slant_deg,
        settings.points_min_cluster,
        settings.points_organized,
    )


def point_cloud(header: Header, result: DepthResult, matrix: np.ndarray, settings: Settings) -> PointCloud2:
    """The message.

    Args:
        header: header of the frame.
        matrix: camera matrix (9,) of the frame.
    """
    options = points_options(settings)
    points = filtered_points(result.depth, result.from_frame @ np.reshape(matrix, (3, 3)), options, result.confidence)
    height, width = points.shape[:2]
    message = PointCloud2(header=header, height=height, width=width, fields=FIELDS, point_step=POINT_STEP)
    message.row_step, message.is_dense = width * POINT_STEP, not options.organized
    message.data = array("B", points.astype("<f4", copy=False).tobytes())  # a list or an array of numpy costs 100 times
    return message
