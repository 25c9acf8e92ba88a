"""Damaged bags give depth or a BagError, in bounded time and memory; `campaign.py` runs a thousand of them."""

from __future__ import annotations

import pytest
from limits import in_child

pytest.importorskip("rosbags")

from campaign import bag_batch


def test_damaged_bags_cost_neither_the_process_nor_its_memory():
    done = in_child(bag_batch, 0, 40)
    assert not done["broken"], done["broken"]
    assert done["became"]["depth"] >= 3
    assert len(done["became"]) > 3
