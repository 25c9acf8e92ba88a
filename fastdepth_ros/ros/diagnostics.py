"""/diagnostics: what the node says about itself once a second (REP 107)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

from fastdepth_ros.ros.statistics import PERCENTILES, Snapshot

PERIOD_S = 1.0
STALLED_LOOKS = 3  # a slow engine may take over a second for its first frame
DROPS = ("unreadable", "failed")  # frames that gave no depth though no newer one came
COUNTS = ("received", "published", "replaced", *DROPS, "camera_info_missing", "camera_info_mismatch", "unscaled")


@dataclass(frozen=True)
class Inputs:
    """What an active node listens to, and how many publish it."""

    image_topic: str
    image_publishers: int
    info_topic: str
    info_publishers: int


def health(snapshot: Snapshot, inputs: Inputs) -> tuple[bytes, str]:
    """Level and message of an active node."""
    news = snapshot.news
    failures = {name: news[name] for name in DROPS if news.get(name)}
    if failures:
        told = ", ".join(f"{count} frames {name}" for name, count in failures.items())
        level = DiagnosticStatus.ERROR if "failed" in failures else DiagnosticStatus.WARN
        return level, f"{told} in the last second: {snapshot.last_error}"
    if not news.get("received"):
        publishers = inputs.image_publishers
        reason = f"its {publishers} publishers send nothing" if publishers else "it has no publisher"
        return DiagnosticStatus.WARN, f"no frame on {inputs.image_topic} in the last second: {reason}"
    if snapshot.stalled_looks >= STALLED_LOOKS:
        return DiagnosticStatus.ERROR, f"frames come in, but no depth came out for {snapshot.stalled_looks} s"
    unscaled = "depth is not scaled to the camera's focal length" if news.get("unscaled") else ""
    lost = ", ".join(filter(None, ("no depth/camera_info", unscaled)))
    if news.get("camera_info_mismatch"):
        return DiagnosticStatus.WARN, f"camera_info is of another size than the frames: {lost}"
    if news.get("camera_info_missing"):
        text = f"no camera_info on {inputs.info_topic} ({inputs.info_publishers} publishers): {lost}"
        return DiagnosticStatus.WARN, text
    if unscaled:
        why = "camera_info is not calibrated, or the model's manifest lacks trained_focal_px"
        return DiagnosticStatus.WARN, f"{unscaled}: {why}; publish a calibrated one, or set focal_scale"
    return DiagnosticStatus.OK, f"{snapshot.rate_in_hz:.1f} Hz in, {snapshot.rate_out_hz:.1f} Hz out"


def diagnostic_array(
    stamp: Time, node_name: str, level: bytes, message: str, facts: Mapping[str, str], snapshot: Snapshot | None
) -> DiagnosticArray:
    """The message; `facts` are state, backend, model and the like."""
    values = dict(facts)
    if snapshot is not None:
        values["rate in [Hz]"] = f"{snapshot.rate_in_hz:.2f}"
        values["rate out [Hz]"] = f"{snapshot.rate_out_hz:.2f}"
        for stage, durations_ms in snapshot.durations_ms.items():
            for percentile, duration_ms in zip(PERCENTILES, durations_ms):
                values[f"{stage} p{percentile} [ms]"] = f"{duration_ms:.3f}"
        values.update({name: str(snapshot.counts.get(name, 0)) for name in COUNTS})
    status = DiagnosticStatus(level=level, name=f"{node_name}: depth", message=message, hardware_id="")
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp.to_msg()
    return array
