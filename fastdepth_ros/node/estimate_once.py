"""Service `~/estimate_once`: the depth of one frame."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastdepth_ros.node.camera import Camera
from fastdepth_ros.node.diagnostics.report import DROPS
from fastdepth_ros.node.engine import MEANWHILE_S
from fastdepth_ros.node.pipeline import Pipeline

ONCE_S = 5.0  # longest wait for the depth of one frame, apart from that for camera_info


def estimate_once(camera: Camera, pipeline: Pipeline, listen: Callable[[], None]) -> tuple[bool, str]:
    """Take one frame, also while paused or idle, and wait for its depth.

    Args:
        listen: handles messages and timers meanwhile, as `listen` of the node.

    Returns:
        Whether its depth was published, and what was published, or the reason why not.
    """
    statistics, limit_s = pipeline.statistics, ONCE_S + pipeline.settings.camera_info_wait_s
    published, dropped = statistics.total("published"), statistics.total(*DROPS)
    ends_at = time.monotonic() + limit_s
    camera.take_one(True)
    try:
        while time.monotonic() < ends_at:
            listen()
            if statistics.total("published") > published:
                return True, f"depth of one frame on {pipeline.depth_topic}"
            if statistics.total(*DROPS) > dropped:
                return False, pipeline.last_drop or "the frame gave no depth: /diagnostics has the reason"
            time.sleep(MEANWHILE_S)
    finally:
        camera.take_one(False)
    return False, f"no depth within {limit_s:g} s: /diagnostics has the reason"
