"""The bits that a sensor uses of 16-bit samples: found over the stream, told when they rise late, fixed by `bits`."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from ros_graph import depth_of
from sensor_msgs.msg import Image

from fastdepth_ros.depth.frame import SETTLED_FRAMES

GREY = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint16)


def mono(values: np.ndarray, encoding: str) -> Image:
    height, width = values.shape
    return Image(
        height=height, width=width, encoding=encoding, step=values.nbytes // height, data=values.tobytes()
    )  # fmt: skip


@pytest.fixture
def depth_by(graph, artifact_folder):
    """A configured node, and what it publishes for a message."""
    node = graph.fastdepth(model=artifact_folder)
    graph.do(node.trigger_configure)
    graph.do(node.trigger_activate)
    published = []
    node._pipeline._depth.publish = published.append

    def of(message: Image) -> np.ndarray:
        node._pipeline.process(message, time.perf_counter_ns())
        return depth_of(deserialize_message(published.pop(), Image))

    of.node = node
    return of


def test_low_bits_give_the_depth_of_8_and_a_late_rise_is_a_finding(depth_by):
    pipeline = depth_by.node._pipeline
    expected = depth_by(mono(GREY.astype(np.uint8), "mono8"))
    for shift in (2, 4):  # a rise so early belongs to the finding of the bits
        np.testing.assert_array_equal(depth_by(mono(GREY << shift, "mono16")), expected)
    for _ in range(SETTLED_FRAMES):
        depth_by(mono(GREY << 2, "mono16"))
    assert pipeline.facts["bits used of 16-bit samples"] == "12 of 16"
    assert not pipeline.statistics.snapshot().counts.get("bits_risen")
    np.testing.assert_array_equal(depth_by(mono(GREY << 8, "mono16")), expected)
    assert pipeline.statistics.snapshot().counts["bits_risen"] == 1


def test_the_parameter_fixes_them_also_while_frames_come(graph, depth_by):
    expected = depth_by(mono(GREY.astype(np.uint8), "mono8"))
    depth_by(mono(GREY << 8, "mono16"))
    (result,) = graph.do(lambda: depth_by.node.set_parameters([Parameter("bits", value=10)]))
    assert result.successful
    np.testing.assert_array_equal(depth_by(mono(GREY << 2, "mono16")), expected)
