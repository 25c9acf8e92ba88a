"""The QoS with which a recorded topic is played."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosbags.interfaces import QosDurability, QosHistory

from fastdepth_ros.ros_tools.bag_player import playing_qos


def recorded(topic: str, *durabilities: QosDurability) -> SimpleNamespace:
    profiles = [SimpleNamespace(durability=one, history=QosHistory.KEEP_LAST, depth=1) for one in durabilities]
    return SimpleNamespace(topic=topic, ext=SimpleNamespace(offered_qos_profiles=profiles))


def test_a_latched_topic_is_played_latched_with_its_publishers_depth():
    latched = QosDurability.TRANSIENT_LOCAL
    qos = playing_qos([recorded("/map", latched, latched), recorded("/map", latched)], best_effort=True)
    assert (qos.durability, qos.depth) == (DurabilityPolicy.TRANSIENT_LOCAL, 2)
    assert qos.reliability is ReliabilityPolicy.RELIABLE


def test_ros_1_s_latching_counts_and_any_other_topic_is_volatile():
    old = SimpleNamespace(topic="/robot_description", ext=SimpleNamespace(latching=1))
    assert playing_qos([old], best_effort=False).durability is DurabilityPolicy.TRANSIENT_LOCAL
    plain = playing_qos([recorded("/image", QosDurability.VOLATILE)], best_effort=True)
    assert (plain.durability, plain.reliability) == (DurabilityPolicy.VOLATILE, ReliabilityPolicy.BEST_EFFORT)
