"""`fastdepth bench --table 6`: real engines, real networks."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("tvm", reason="tvm is not installed")
from fastdepth_ros.bench.paper_table6 import ROWS
from fastdepth_ros.cli import main

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@pytest.mark.slow
def test_the_rows_of_table_6_are_measured_in_both_engines(capsys, tmp_path):
    arguments = ["bench", "--table", "6", "--rounds", "2", "--frames", "2", "--db", str(tmp_path), "--trials", "3"]
    assert main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == list(ROWS)
    for row in rows:
        assert row["tuned"] == 3 < row["kernels"]
        for engine in ("pytorch", "tvm"):
            assert row[engine]["runs"] == 4
            assert 0 < row[engine]["min_ms"] <= row[engine]["median_ms"] <= row[engine]["p95_ms"]
    assert rows[0]["pytorch"]["min_ms"] > rows[1]["pytorch"]["min_ms"]  # eleven times the multiply-accumulates
