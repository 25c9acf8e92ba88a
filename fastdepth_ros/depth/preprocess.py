"""Frame to network input: crop to the field of view, the only resize, then RGB order on the small image."""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import Crop

_TO_RGB = {
    "bgr": cv2.COLOR_BGR2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
    "mono": cv2.COLOR_GRAY2RGB,
}


def network_input(frame: Frame, crop: Crop, size_px: int) -> np.ndarray:
    """Resize one view of a frame (bilinear, as the training augmentation samples it).

    Args:
        frame: any size, any channel order.
        crop: what the network sees of it.
        size_px: side of the network input.

    Returns:
        uint8 (size, size, 3) RGB.
    """
    view = frame.pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    small = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    return small if frame.order == "rgb" else cv2.cvtColor(small, _TO_RGB[frame.order])
