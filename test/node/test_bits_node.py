"""The bits that a sensor uses of 16-bit samples: found over the stream, told when they rise late, fixed by `bits`."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_graph import CameraDriver, Diagnostics, Listener, depth_of, facts_of, wait_until
from sensor_msgs.msg import Image

from fastdepth_ros.depth.frame import SETTLED_FRAMES

GRAY = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint16)


class Bits:
    """An active node, and the depth that it makes of frames."""

    def __init__(self, graph, artifact_folder) -> None:
        self.node = graph.activated(artifact_folder)
        self._camera, self._depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
        self.diagnostics = Diagnostics(graph)
        self._camera.wait()

    def depth(self, pixels: np.ndarray, encoding: str) -> np.ndarray:
        number = len(self._depths.heard) + 1
        self._camera.send(number, pixels, encoding)
        wait_until(lambda: self._depths.stamps()[-1:] == [number], "depth")
        return depth_of(self._depths.heard[-1])

    def told(self) -> tuple[str, bool]:
        """Bits as /diagnostics has them after all frames so far, and whether a rise was a finding."""
        wait_until(lambda: self.diagnostics.facts.get("published") == str(len(self._depths.heard)), "diagnostics")
        statuses = [status for array in list(self.diagnostics.heard) for status in array.status]
        risen = any("bits_risen" in facts_of(status).get("findings", "").split() for status in statuses)
        return self.diagnostics.facts["bits used of 16-bit samples"], risen


@pytest.fixture
def bits(graph, artifact_folder) -> Bits:
    return Bits(graph, artifact_folder)


def test_low_bits_give_the_depth_of_8_and_a_late_rise_is_a_finding(bits):
    expected = bits.depth(GRAY.astype(np.uint8), "mono8")
    for shift in (2, 4):  # a rise so early belongs to the finding of the bits
        np.testing.assert_array_equal(bits.depth(GRAY << shift, "mono16"), expected)
    for _ in range(SETTLED_FRAMES):
        bits.depth(GRAY << 2, "mono16")
    assert bits.told() == ("12 of 16", False)
    np.testing.assert_array_equal(bits.depth(GRAY << 8, "mono16"), expected)
    assert bits.told() == ("16 of 16", True)


def test_the_parameter_fixes_them_also_while_frames_come(graph, bits):
    expected = bits.depth(GRAY.astype(np.uint8), "mono8")
    bits.depth(GRAY << 8, "mono16")
    assert graph.change(bits.node, bits=10) == ""
    np.testing.assert_array_equal(bits.depth(GRAY << 2, "mono16"), expected)
