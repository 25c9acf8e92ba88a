"""Findings of an active node, derived from its counters since the last look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

from fastdepth_ros.depth.camera_matrix import MISMATCH, MISSING, UNCALIBRATED
from fastdepth_ros.node.diagnostics.findings import Finding, causes
from fastdepth_ros.node.diagnostics.statistics import Snapshot
from fastdepth_ros.node.parameters import Settings

SILENT_S = 1.5  # longer than the period of a 1 Hz camera
STALLED_LOOKS = 3  # a slow engine may take over a second for its first frame
SLOW_SHARE = 0.2  # of the deadline


@dataclass(frozen=True)
class Inputs:
    """Topics that an active node subscribes, and their publishers.

    Args:
        image_publishers, best_effort: how many of our type, and how many of them are best effort.
        incompatible: of each publisher whose QoS does not fit, its name and the reason.
        other_types: that the topic carries too.
        images_elsewhere: topics of our type.
        known_s: since when the first of our type is known.
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
class Look:
    """All that the findings of an active node follow from.

    Args:
        clock: finding's name and its seconds, as of ClockWatch.
        unfit_listeners: of each subscriber of the depth whose QoS does not fit, its name and the reason.
        busy_s: for how long the backend has been at the frame in work.
        reloading: it hung and is being loaded anew.
        paused: the service's name if it paused the node.
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


def findings(look: Look) -> list[Finding]:
    """Findings without mere consequences of others; empty if nothing is wrong."""
    if look.paused:
        return [Finding("paused", {"service": look.paused}), *_clock(look)]
    every = [*_input(look), *_camera_info(look), *_stamps(look), *_clock(look), *_timing(look), *_backend(look)]
    return causes(every)


def _input(look: Look) -> Iterator[Finding]:
    inputs, snapshot = look.inputs, look.snapshot
    case = {"topic": inputs.image_topic, "silent_s": snapshot.silent_s}
    if inputs.incompatible:
        reason = "; ".join(sorted(set(inputs.incompatible.values())))
        yield Finding(
            "incompatible_qos", {**case, "publishers": ", ".join(sorted(inputs.incompatible)), "reason": reason}
        )
    if inputs.other_types:
        yield Finding("wrong_type", {**case, "types": ", ".join(inputs.other_types), "wanted": inputs.image_type})
    if snapshot.silent_s > SILENT_S and not look.clock.keys() & {"clock_still", "no_clock", "clock_awaited"}:
        yield from _silence(inputs, case)
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
    if look.unfit_listeners:
        reason = "; ".join(sorted(set(look.unfit_listeners.values())))
        subscribers = ", ".join(sorted(look.unfit_listeners))
        yield Finding("output_qos", {"subscribers": subscribers, "topic": look.depth_topic, "reason": reason})


def _silence(inputs: Inputs, case: dict[str, Any]) -> Iterator[Finding]:
    """Reason why no frame comes."""
    if not inputs.image_publishers:
        if not inputs.other_types:
            found = ", ".join(inputs.images_elsewhere[:3]) or "nowhere"
            yield Finding("no_publisher", {**case, "images": f"{inputs.image_type} is published on: {found}"})
    elif inputs.known_s <= SILENT_S:
        return  # it may send, and was not heard yet
    elif inputs.best_effort:
        yield Finding("nothing_arrives", {**case, "best_effort": inputs.best_effort})
    elif not inputs.incompatible:
        yield Finding("no_frames", {**case, "publishers": inputs.image_publishers})


def _camera_info(look: Look) -> Iterator[Finding]:
    news, details, inputs = look.snapshot.news, look.snapshot.details, look.inputs
    if news.get("held") and not news.get("published"):  # else the wait is over
        yield Finding("camera_info_awaited", {"topic": inputs.info_topic, "wait_s": look.settings.camera_info_wait_s})
    reason = details.get("unscaled", "")
    faults = [name for name in (MISMATCH, UNCALIBRATED, MISSING) if news.get(name)]
    for fault in faults:
        unscaled = bool(news.get("unscaled")) and reason == details.get(fault)
        case = {
            "topic": inputs.info_topic,
            "publishers": inputs.info_publishers,
            "why": details.get(fault, ""),
            "lacking": "no depth/camera_info" + (", and depth is not scaled to the camera's focal length" * unscaled),
        }
        yield Finding("camera_info_silent" if fault == MISSING and inputs.info_publishers else fault, case)
    if news.get("unscaled") and reason not in (details.get(fault) for fault in faults):
        yield Finding("unscaled", {"reason": reason})


def _stamps(look: Look) -> Iterator[Finding]:
    names = ["stamp_zero", "stamp_future", "stamp_jump"]
    if look.settings.max_age_ms:  # 0 is for those who know of their old stamps
        names.append("stamp_past")
    for name in names:
        if count := look.snapshot.news.get(name):
            yield Finding(name, {"count": count, "seconds": float(look.snapshot.details.get(name, 0))})


def _clock(look: Look) -> Iterator[Finding]:
    for name, seconds in look.clock.items():
        yield Finding(name, {"seconds": seconds})


def _timing(look: Look) -> Iterator[Finding]:
    settings, snapshot = look.settings, look.snapshot
    if 0 < settings.max_age_ms < snapshot.oldest_ms:
        case = {"age_ms": snapshot.oldest_ms, "max_age_ms": settings.max_age_ms, "own_ms": snapshot.longest_ms}
        yield Finding("old_frames", case)
    if snapshot.rate_out_hz < settings.min_rate_hz:
        case = {"rate_hz": snapshot.rate_out_hz, "rate_in_hz": snapshot.rate_in_hz, "min_rate_hz": settings.min_rate_hz}
        yield Finding("low_rate", case)


def _backend(look: Look) -> Iterator[Finding]:
    deadline_s, snapshot = look.settings.backend_deadline_s, look.snapshot
    if look.reloading or snapshot.news.get("abandoned"):
        yield Finding("backend_hung", {"deadline_s": deadline_s})
        return
    if count := snapshot.news.get("failed"):
        yield Finding("failed", {"count": count, "error": snapshot.details.get("failed", "")})
    slowest_s = max(look.busy_s, snapshot.slowest_ms / 1e3)
    if deadline_s and slowest_s > SLOW_SHARE * deadline_s:
        yield Finding("backend_slow", {"seconds": slowest_s, "deadline_s": deadline_s})
    if snapshot.stalled_looks >= STALLED_LOOKS:
        yield Finding("no_output", {"seconds": snapshot.stalled_looks})
