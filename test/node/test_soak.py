"""Memory, threads and age stay constant at twice the rate that the node sustains."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from soak import soak


@pytest.mark.slow
def test_three_minutes_of_too_many_frames_leave_memory_and_age_flat(domain, artifact_folder):
    found = soak(artifact_folder, 3.0)
    print(found.figures)
    assert found.complaints() == []
