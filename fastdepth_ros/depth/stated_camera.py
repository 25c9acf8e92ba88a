"""Camera whose focal length a person stated, for frames without a camera_info that can be used."""

from __future__ import annotations

from functools import lru_cache

from fastdepth_ros.depth.camera_info import IDENTITY, FrameCamera, p_of
from fastdepth_ros.depth.geometry import focal_of_view_px, pinhole

_ALIKE = 1.05  # ratio of two focal lengths of one camera


@lru_cache(8)  # one object per camera: what is made of it is kept as long as it is the same
def stated_camera(shape: tuple[int, int], hfov_deg: float, focal_px: float) -> FrameCamera:
    """Camera of frames of one size whose focal length a person stated, without distortion.

    Args:
        shape: height and width of the frame.
        hfov_deg: horizontal field of view in degrees; 0 where `focal_px` is given.
        focal_px: focal length in pixels of the frame; 0 where `hfov_deg` is given.
    """
    note = f"none can be used; K is made of focal_px {focal_px:g}"
    if hfov_deg:
        focal_px = focal_of_view_px(hfov_deg, shape[1])
        note = f"none can be used; K is made of hfov_deg {hfov_deg:g}: a focal length of {focal_px:.1f} px"
    k = pinhole(shape, focal_px)
    return FrameCamera("", "", note, k, k, p_of(k), IDENTITY, (0.0,) * 5, "plumb_bob")


def differing_focal(heard: FrameCamera, stated: FrameCamera) -> str:
    """Difference between the focal lengths that a camera_info and a person state; "" up to 5 %."""
    assert heard.matrix is not None and stated.matrix is not None
    ratio = stated.matrix[0] / heard.matrix[0]
    if 1 / _ALIKE <= ratio <= _ALIKE:
        return ""
    return f"{heard.matrix[0]:.1f} px by camera_info, {stated.matrix[0]:.1f} px by the parameter"
