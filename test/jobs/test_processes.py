"""Child processes on an isolated ROS domain."""

from __future__ import annotations

import os

import pytest

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.processes import isolated_domain


def test_a_domain_has_one_user_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fastdepth_ros.jobs.processes.DOMAINS", 2)
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    with isolated_domain(tmp_path) as first:
        with isolated_domain(tmp_path) as second:
            assert {first, second} == {1, 2} and os.environ["ROS_DOMAIN_ID"] == str(second)
            with pytest.raises(FastDepthError, match="each ROS domain"), isolated_domain(tmp_path):
                pass
        with isolated_domain(tmp_path) as third:
            assert third == second
    assert os.environ["ROS_DOMAIN_ID"] == "7"
