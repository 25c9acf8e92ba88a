"""Notes about a bag's camera that limit the trust in its depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.recording import CAMERA_INFO_TYPE, read_messages
from fastdepth_ros.depth.camera_info import is_distorted, is_fisheye, is_rectified


def lens_note(image_topic: str, info: Any | None) -> str:
    """Note that the lens distorts the frames, with the remedy; "" if it does not, or if that is unknown."""
    if info is None or is_rectified(image_topic) or not is_distorted(info):
        return ""
    model = info.distortion_model
    lens = f"a fisheye lens ({model})" if is_fisheye(info) else f"a lens that distorts ({model or 'of no named model'})"
    return (
        f"{image_topic} is of {lens}, the network learned from frames without distortion: depth toward the edges "
        "is off; rectify the frames first, with image_proc"
    )


def depth_lens_note(info: Any | None) -> str:
    """Variant of `lens_note` for the camera_info of depth, which does not say whether the frames were rectified."""
    note = lens_note("the depth", info)
    return f"{note}; if they were, all is well" if note else ""


def camera_info_note(reader: AnyReader, wanted: str) -> str:
    """Note that a topic has no camera_info, and where the bag has some; "" if it has."""
    counts: dict[str, int] = {}
    for connection in reader.connections:
        if connection.msgtype == CAMERA_INFO_TYPE:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
    if counts.get(wanted):
        return ""
    others = sorted(topic for topic, count in counts.items() if count)
    if not others:
        return f"no camera_info on {wanted}, nor on any other topic"
    return f"no camera_info on {wanted}; the bag has {', '.join(others)}: give the camera's as --camera-info-topic"


def first_message(reader: AnyReader, connections: Sequence[Connection]) -> Any | None:
    """The first message of a topic; None without any."""
    return next((message for message, _ in read_messages(reader, connections)), None)
