"""Findings of an active node, derived from its counters since the last snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from fastdepth_ros.depth.camera_info import MISMATCH, MISSING, UNCALIBRATED
from fastdepth_ros.node.diagnostics.findings import Finding, causes
from fastdepth_ros.node.diagnostics.statistics import Snapshot
from fastdepth_ros.node.parameters import Settings

SILENT_S = 1.5  # longer than the period of a 1 Hz camera
STALLED_SNAPSHOTS = 3  # a slow engine may take over a second for its first frame
SLOW_SHARE = 0.2  # of the deadline


@dataclass(frozen=True)
class Inputs:
    """Topics that an active node subscribes, and their publishers.

    Args:
        image_publishers, best_effort: number of publishers of our type, and of those of them with best effort.
        incompatible: reason by name of each publisher whose QoS does not fit.
        other_types: other types on the topic.
        images_elsewhere: topics of our type.
        known_s: seconds since the first publisher of our type was discovered and the topic was subscribed.
    """

    image_topic: str
    image_type: str
    image_publishers: int
    best_effort: int
    incompatible: dict[str, str]
    other_types: list[str]
    images_elsewhere: list[str]
    info_topic: str
    info_publishers: int
    known_s: float = inf


@dataclass(frozen=True)
class HealthInput:
    """State of an active node that its findings are derived from.

    Args:
        clock: seconds by name of the finding, as of ClockWatch.
        unfit_listeners: reason by name of each subscriber of the depth's topics whose QoS does not fit.
        busy_s: seconds that the backend has spent on the frame in work.
        reloading: the backend hung and is being loaded again.
        paused: the service's name if it paused the node.
        relative_model: the model's name if its depth is not in meters.
        idle: nobody subscribes, and no frame is taken.
        unfit_topics: topics of the unfit listeners.
    """

    settings: Settings
    snapshot: Snapshot
    inputs: Inputs
    depth_topic: str = ""
    clock: dict[str, float] = field(default_factory=dict)
    unfit_listeners: dict[str, str] = field(default_factory=dict)
    busy_s: float = 0.0
    reloading: bool = False
    paused: str = ""
    idle: bool = False
    relative_model: str = ""
    unfit_topics: str = ""


def findings(given: HealthInput) -> list[Finding]:
    """Findings without mere consequences of others; empty if nothing is wrong."""
    if given.paused:
        return [Finding("paused", {"service": given.paused}), *_clock(given)]
    every = [
        *([Finding("idle", {"topic": given.depth_topic})] if given.idle else []),
        *_input(given),
        *_camera_info(given),
        *_model(given),
        *_stamps(given),
        *_clock(given),
        *_timing(given),
        *_backend(given),
    ]
    return causes(every)


def _input(given: HealthInput) -> Iterator[Finding]:
    inputs, snapshot = given.inputs, given.snapshot
    case = {"topic": inputs.image_topic}
    if inputs.incompatible:
        reason = "; ".join(sorted(set(inputs.incompatible.values())))
        yield Finding(
            "incompatible_qos", {**case, "publishers": ", ".join(sorted(inputs.incompatible)), "reason": reason}
        )
    if inputs.other_types:
        yield Finding("wrong_type", {**case, "types": ", ".join(inputs.other_types), "wanted": inputs.image_type})
    if snapshot.silent_s > SILENT_S and not given.clock.keys() & {"clock_still", "no_clock", "clock_awaited"}:
        yield from _silence(inputs, snapshot.silent_s)
    if lost := snapshot.news.get("lost"):
        topic = snapshot.details.get("lost", inputs.image_topic)  # it may have been changed since
        yield Finding("frames_lost", {"topic": topic, "lost": lost})
    if count := snapshot.news.get("unreadable"):
        yield Finding("unreadable", {"count": count, "error": snapshot.details.get("unreadable", "")})
    if count := snapshot.news.get("no_picture"):
        yield Finding("no_picture", {**case, "count": count})
    if snapshot.news.get("frame_id_unusable"):
        yield Finding("frame_id_unusable", {"frame_id": snapshot.details.get("frame_id_unusable", "")})
    if snapshot.news.get("bits_risen"):
        yield Finding("bits_risen", {"bits": snapshot.details.get("bits_risen", "")})
    if given.unfit_listeners:
        reason = "; ".join(sorted(set(given.unfit_listeners.values())))
        subscribers = ", ".join(sorted(given.unfit_listeners))
        yield Finding("output_qos", {"subscribers": subscribers, "topic": given.unfit_topics, "reason": reason})


def _silence(inputs: Inputs, silent_s: float) -> Iterator[Finding]:
    """Reason why no frame comes."""
    case = {"topic": inputs.image_topic, "silent_s": min(silent_s, inputs.known_s)}  # nobody listened before
    if not inputs.image_publishers:
        if not inputs.other_types:
            found = ", ".join(inputs.images_elsewhere[:3]) or "nowhere"
            images = f"{inputs.image_type} is published on: {found}"
            yield Finding("no_publisher", {"topic": inputs.image_topic, "silent_s": silent_s, "images": images})
    elif inputs.known_s <= SILENT_S:
        return  # discovered just now: its first message may still come
    elif inputs.best_effort:
        yield Finding("nothing_arrives", {**case, "best_effort": inputs.best_effort})
    elif not inputs.incompatible:
        yield Finding("no_frames", {**case, "publishers": inputs.image_publishers})


def _camera_info(given: HealthInput) -> Iterator[Finding]:
    news, details, inputs = given.snapshot.news, given.snapshot.details, given.inputs
    if news.get("held") and not news.get("published"):  # else the wait is over
        yield Finding("camera_info_awaited", {"topic": inputs.info_topic, "wait_s": given.settings.camera_info_wait_s})
    if count := news.get("camera_needed"):
        yield Finding("camera_needed", {"count": count, "why": details.get("camera_needed", "")})
    reason = details.get("unscaled", "")
    faults = [name for name in (MISMATCH, UNCALIBRATED, MISSING) if news.get(name)]
    for fault in faults:
        unscaled = bool(news.get("unscaled")) and reason == details.get(fault)
        case = {
            "topic": inputs.info_topic,
            "publishers": inputs.info_publishers,
            "why": details.get(fault, ""),
            "lacking": "no depth/camera_info"
            + " and no depth/points" * given.settings.points
            + (", and depth is not scaled to the camera's focal length" * unscaled),
        }
        yield Finding("camera_info_silent" if fault == MISSING and inputs.info_publishers else fault, case)
    for name in ("focal_differs", "not_undistorted"):
        if news.get(name):
            yield Finding(name, {"why": details.get(name, "")})
    if news.get("unscaled") and reason not in (details.get(fault) for fault in faults):
        yield Finding("unscaled", {"reason": reason})


def _model(given: HealthInput) -> Iterator[Finding]:
    news, details = given.snapshot.news, given.snapshot.details
    if given.relative_model:
        yield Finding("not_metric", {"model": given.relative_model})
    if count := news.get("implausible"):
        yield Finding("implausible", {"count": count, "values": details.get("implausible", "")})


def _stamps(given: HealthInput) -> Iterator[Finding]:
    names = ["stamp_zero", "stamp_future", "stamp_jump"]
    if given.settings.max_age_ms:  # 0 is for those who know of their old stamps
        names.append("stamp_past")
    for name in names:
        if count := given.snapshot.news.get(name):
            yield Finding(name, {"count": count, "seconds": float(given.snapshot.details.get(name, 0))})


def _clock(given: HealthInput) -> Iterator[Finding]:
    for name, seconds in given.clock.items():
        yield Finding(name, {"seconds": seconds})


def _timing(given: HealthInput) -> Iterator[Finding]:
    settings, snapshot = given.settings, given.snapshot
    if 0 < settings.max_age_ms < snapshot.oldest_ms:
        case = {"age_ms": snapshot.oldest_ms, "max_age_ms": settings.max_age_ms, "own_ms": snapshot.longest_ms}
        yield Finding("old_frames", case)
    if snapshot.rate_out_hz < settings.min_rate_hz and not given.idle:
        case = {"rate_hz": snapshot.rate_out_hz, "rate_in_hz": snapshot.rate_in_hz, "min_rate_hz": settings.min_rate_hz}
        yield Finding("low_rate", case)


def _backend(given: HealthInput) -> Iterator[Finding]:
    deadline_s, snapshot = given.settings.backend_deadline_s, given.snapshot
    if given.reloading or snapshot.news.get("abandoned"):
        yield Finding("backend_hung", {"deadline_s": deadline_s})
        return
    if count := snapshot.news.get("failed"):
        yield Finding("failed", {"count": count, "error": snapshot.details.get("failed", "")})
    slowest_s = max(given.busy_s, snapshot.slowest_ms / 1e3)
    if deadline_s and slowest_s > SLOW_SHARE * deadline_s:
        yield Finding("backend_slow", {"seconds": slowest_s, "deadline_s": deadline_s})
    if snapshot.stalled_snapshots >= STALLED_SNAPSHOTS:
        yield Finding("no_output", {"seconds": snapshot.stalled_snapshots})
