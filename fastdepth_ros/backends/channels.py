"""The order of the image's channels, folded into the first kernel while a file is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdepth_ros.backends.base import BackendError

# The int64 constant of the ONNX graph by which the first kernel is gathered. An engine folds it at loading, and none
# lets a caller change it before that, so it is changed in the file's bytes: name (field 8), then raw data (field 9).
ORDER = "channel_order"
_HEAD = bytes((8 << 3 | 2, len(ORDER))) + ORDER.encode() + bytes((9 << 3 | 2, 24))


def channel_order(channels: str) -> np.ndarray:
    """int64 (3,): which channel of RGB each channel of the network input is.

    >>> channel_order("bgr").tolist()
    [2, 1, 0]
    """
    return np.array(["rgb".index(channel) for channel in channels], np.int64)


def read_model(path: Path, channels: str) -> bytes:
    """An ONNX file that takes rgb, as one that takes `channels`.

    Raises:
        BackendError: a file that takes rgb only.
    """
    content = path.read_bytes()
    known, wanted = (_HEAD + channel_order(order).tobytes() for order in ("rgb", channels))
    if known == wanted:
        return content
    if content.count(known) != 1:
        raise BackendError(f"{path} takes rgb only; export it again to have it take {channels}")
    return content.replace(known, wanted)
