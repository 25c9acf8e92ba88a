"""Point clouds of depth images, without flying pixels and speckles, as a sensor_msgs/PointCloud2 holds them."""

from __future__ import annotations

from math import inf, radians, tan
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.depth.camera_info import is_usable
from fastdepth_ros.depth.geometry import Numbers
from fastdepth_ros.depth.options import OFF_DEG, PointsOptions
from fastdepth_ros.errors import FrameError

FIELDS = ("x", "y", "z", "intensity")  # float32, one behind the other
POINT_STEP = 4 * len(FIELDS)
FLOAT32 = 7  # sensor_msgs/PointField
_PER_E = 4096  # steps of the int16 logarithm for a factor of e: 0.024 % each, from 0.4 mm to 2.9 km
_NONE = -32768
_JOINED = round(0.05 * _PER_E)  # neighbors of one surface differ by at most 5 %


def filtered_points(
    depth: np.ndarray, k: Numbers, options: PointsOptions, confidence: np.ndarray | None = None
) -> np.ndarray:
    """Points of a depth image: X = (u - cx) Z / fx, Y = (v - cy) Z / fy (REP 103: x right, y down, z forward).

    Args:
        depth: float32 HxW meters along the optical axis; only finite depth above 0 gives points.
        k: camera matrix of the depth image, 9 numbers; one that no camera has gives no points.
        confidence: float32 HxW in [0, 1]; None is 1.

    Returns:
        float32 (rows, columns, 4), or (1, points, 4) unless organized: x, y, z in meters, and the confidence.
    """
    k, stride, middle = np.reshape(k, 9), options.stride, (options.stride - 1) // 2
    rows, columns = (side // stride for side in depth.shape)
    z = depth[middle::stride, middle::stride][:rows, :columns]
    points = np.empty((rows, columns, len(FIELDS)), np.float32)
    points[..., 3] = 1 if confidence is None else confidence[middle::stride, middle::stride][:rows, :columns]
    if is_usable(k):
        (x, y) = (
            ((np.arange(count) * stride + (stride - 1) / 2 - center) / focal).astype(np.float32)
            for count, center, focal in ((columns, k[2], k[0]), (rows, k[5], k[4]))
        )
        kept = _kept(z, points[..., 3], (float(k[0]), float(k[4])), options)
        np.multiply(x, z, out=points[..., 0])
        np.multiply(y[:, None], z, out=points[..., 1])
        points[..., 2] = z
    else:
        kept = np.zeros((rows, columns), bool)
    if not options.organized:
        return points[kept][None]
    points[~kept] = np.nan
    return points


def points_of(message: Any) -> np.ndarray:
    """float32 (N, 4): x, y, z in meters and the intensity of each finite point of a PointCloud2 of ours.

    Raises:
        FrameError: another layout, or cut short.
    """
    layout = [(field.name, field.offset, field.datatype) for field in message.fields]
    if message.is_bigendian or message.point_step != POINT_STEP or layout != point_layout():
        raise FrameError(f"a point cloud of {layout}, step {message.point_step}, is not read; {FIELDS} in float32 are")
    count = message.height * message.width
    if len(message.data) < count * POINT_STEP:
        raise FrameError(f"a point cloud of {count} points has {len(message.data)} bytes of data")
    points = np.frombuffer(message.data, "<f4", count * len(FIELDS)).reshape(-1, len(FIELDS))
    return points[np.isfinite(points[:, :3]).all(axis=1)]


def point_layout() -> list[tuple[str, int, int]]:
    """Name, offset in bytes and data type of each field of a PointCloud2."""
    return [(name, 4 * number, FLOAT32) for number, name in enumerate(FIELDS)]


def _kept(z: np.ndarray, confidence: np.ndarray, focal_px: tuple[float, float], options: PointsOptions) -> np.ndarray:
    """Mask of the pixels that give a point."""
    kept = (z > 0) & (z < inf) & (z <= (options.max_m or inf))
    if options.min_confidence:
        kept &= confidence >= options.min_confidence
    if options.max_slant_deg == OFF_DEG and not options.min_cluster:
        return kept
    logarithm = np.log(np.where(kept, z, np.float32(np.nan)))
    if options.max_slant_deg < OFF_DEG:
        steepest = tan(radians(options.max_slant_deg)) * options.stride
        logarithm[_on_edges(logarithm, *(steepest / focal for focal in focal_px))] = np.nan
    if options.min_cluster:
        steps = np.clip(logarithm * np.float32(_PER_E), _NONE + 1, -_NONE - 1)
        clusters = np.where(np.isnan(steps), np.float32(_NONE), steps).astype(np.int16)
        cv2.filterSpeckles(clusters, _NONE, options.min_cluster - 1, _JOINED)
        return clusters != _NONE
    return ~np.isnan(logarithm)


def _on_edges(logarithm: np.ndarray, across: float, down: float) -> np.ndarray:
    """Mask of the pixels whose logarithm differs from a neighbor's by more than `across` or `down`; NaN has no edge."""
    edges = np.zeros(logarithm.shape, bool)
    for axis, limit, behind, ahead in (
        (1, across, np.s_[:, :-1], np.s_[:, 1:]), (0, down, np.s_[:-1], np.s_[1:]),
    ):  # fmt: skip
        steep = np.abs(np.diff(logarithm, axis=axis)) > limit
        edges[behind] |= steep
        edges[ahead] |= steep
    return edges
