"""Hostile messages give depth or a FrameError, in bounded time and memory; `campaign.py` runs a million of them."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from campaign import message_batch
from hostile_messages import Steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import in_child

STEPS = Steps()


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_whatever_comes_is_depth_or_refused(random: Random):
    STEPS(random)


def test_hostile_messages_cost_neither_the_process_nor_its_memory():
    done = in_child(message_batch, 0, 1500)
    assert not done["broken"], done["broken"]
    assert done["became"]["depth"] > 150  # else the messages are too hostile to reach anything
    assert len(done["became"]) > 15
