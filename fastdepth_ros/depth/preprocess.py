"""Frame to network input: crop to the field of view, the only resize, then the channel order on the small image."""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import Crop

_TURNS = {
    "bgr": {"rgb": cv2.COLOR_BGR2RGB},
    "rgb": {"bgr": cv2.COLOR_RGB2BGR},
    "rgba": {"rgb": cv2.COLOR_RGBA2RGB, "bgr": cv2.COLOR_RGBA2BGR},
    "bgra": {"rgb": cv2.COLOR_BGRA2RGB, "bgr": cv2.COLOR_BGRA2BGR},
    "mono": {"rgb": cv2.COLOR_GRAY2RGB, "bgr": cv2.COLOR_GRAY2BGR},
}


def network_input(frame: Frame, crop: Crop, size_px: int, channels: str = "rgb") -> np.ndarray:
    """Resize one view of a frame (bilinear, as the training augmentation samples it).

    Args:
        frame: any size, any channel order.
        crop: what the network sees of it.
        size_px: side of the network input.
        channels: order that the backend takes, "rgb" or "bgr"; a frame of that order is not turned.

    Returns:
        uint8 (size, size, 3).
    """
    view = frame.pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    small = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    return small if frame.order == channels else cv2.cvtColor(small, _TURNS[frame.order][channels])
