"""Which topics of a bag are meant where nobody said."""

from __future__ import annotations

from rosbags.highlevel import AnyReader

from fastdepth_ros.bags.recording import IMAGE_TYPES, BagError


def busiest_camera_topic(reader: AnyReader) -> str:
    """The image topic with the most images that are not depth.

    Raises:
        BagError: the bag has none.
    """
    images = [c for c in reader.connections if c.msgtype in IMAGE_TYPES and "depth" not in c.topic and c.msgcount]
    if not images:
        raise BagError(f"{reader.paths[0]} has no image topic")
    return max(images, key=lambda c: c.msgcount).topic
