"""Encodings that only cv_bridge knows, where it is installed."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("cv_bridge", reason="cv_bridge is not installed")

from sensor_msgs.msg import Image

from fastdepth_ros.node.messages import frame_from_message


def test_nv24_is_read_by_cv_bridge():
    gray = np.full((3 * 8, 8), 128, np.uint8)
    message = Image(height=8, width=8, encoding="nv24", step=8, data=gray.tobytes())
    frame = frame_from_message(message)
    assert frame.pixels.shape == (8, 8, 3)
    assert np.ptp(frame.pixels) <= 4
