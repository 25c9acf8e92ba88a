"""A sample of an image topic, taken before the work begins: what all workers have to agree on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from fastdepth_ros.bags.recording import BagError, read_messages
from fastdepth_ros.depth.frame import SETTLED_FRAMES, FrameError, SensorBits, decode_message


def used_bits(reader: AnyReader, images: Sequence[Connection], times: np.ndarray) -> int:
    """The bits that 16-bit samples use, in frames spread evenly over the topic; 0 where no sample has 16 bits.

    Args:
        times: of the topic's messages, in nanoseconds, ascending.
    """
    sensor = SensorBits()
    chosen = np.linspace(0, max(len(times) - 1, 0), min(SETTLED_FRAMES, len(times))).round().astype(int)
    for time_ns in np.unique(times[chosen]).tolist():
        try:
            for message, _ in islice(read_messages(reader, images, time_ns, time_ns + 1), SETTLED_FRAMES):
                decode_message(message, sensor)
        except (BagError, FrameError):
            continue  # the window that it is in tells it
    return sensor.bits
