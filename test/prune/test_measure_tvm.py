"""A table of TVM's kernels: measured here, and over RPC with a real tracker and server."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("tvm", reason="tvm is not installed")
from tracker import Processes

from fastdepth_ros.cli import main
from fastdepth_ros.deploy.targets import find_target
from fastdepth_ros.deploy.tune import Device
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.prune.measure_tvm import measure_tvm
from fastdepth_ros.prune.resources import load_table, resource

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

TINY = Channels((4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8), (8, 8, 8, 8, 4))
HALF = Channels((4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4), (4, 8, 8, 8, 4))


@pytest.mark.slow
def test_every_kernel_is_measured_and_nothing_between_them(tmp_path):
    table = measure_tvm(TINY, find_target("host"), Device(), multiple=4, shares=(1.0,))
    assert {shape.kind for shape in table.rows} == {"conv", "depthwise"}
    assert all(ms > 0 for ms in table.rows.values())
    assert table.engine.startswith("tvm ")
    latency = resource("latency", table)
    assert 0 < latency.cost(HALF) <= latency.cost(TINY)
    assert 0.1 < latency.cost(TINY) / table.network_ms["whole network"] < 10
    table.save(tmp_path / "table.json")
    assert load_table(tmp_path / "table.json") == table


@pytest.mark.slow
def test_a_table_is_measured_on_a_device_behind_a_tracker(tmp_path, capsys):
    (tmp_path / "tiny.json").write_text(
        '{"encoder": [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8], "decoder": [8, 8, 8, 8, 8]}'
    )
    processes = Processes(tmp_path)
    try:
        processes.tracker()
        processes.server()
        arguments = ["--engine", "tvm", "--tracker", f"127.0.0.1:{processes.port}", "--key", "dev"]
        channels = ["--channels", str(tmp_path / "tiny.json")]
        assert main(["prune", "--measure", str(tmp_path / "table.json"), *channels, *arguments]) == 0
    finally:
        processes.close()
    assert "whole network" in capsys.readouterr().out
    table = load_table(tmp_path / "table.json")
    assert table.device == f"dev at 127.0.0.1:{processes.port}"
    assert table.network_ms["whole network"] > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tracker", "127.0.0.1:9190"], "--tracker and --key belong together"),
        (["--tracker", "here", "--key", "dev"], "'here' is not HOST:PORT"),
        (["--target", "tx2-cpu"], "does not run on this machine"),
        (["--target", "nonsense"], "no target 'nonsense'"),
        (["--tracker", "a:1", "--key", "dev", "--threads", "2"], "TVM_NUM_THREADS"),
    ],
)
def test_a_device_that_cannot_be_measured_is_said(tmp_path, capsys, arguments, told):
    assert main(["prune", "--measure", str(tmp_path / "table.json"), "--engine", "tvm", *arguments]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "table.json").exists()
