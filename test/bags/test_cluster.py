"""The same work on a Ray cluster: two nodes on this machine, one of which is lost on the way."""

from __future__ import annotations

import json
import threading
import time

import pytest
from recorded import write_long
from running import raw_messages, run_bag

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


def test_two_nodes_write_the_very_same_bag_though_one_is_lost(two_nodes, tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 1000)
    assert run_bag(bag, tmp_path / "here", artifact_folder) == 0
    lost = threading.Thread(target=lose_a_node_after_some_parts, args=(two_nodes, tmp_path / ".there.parts"))
    lost.start()
    capsys.readouterr()
    assert run_bag(bag, tmp_path / "there", artifact_folder, "--ray", two_nodes.address) == 0
    lost.join()
    assert json.loads(capsys.readouterr().out)["frames_out"] == 1000
    assert raw_messages(tmp_path / "there") == raw_messages(tmp_path / "here")


def test_errors_of_a_node_are_told_as_those_of_this_machine(two_nodes, tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 200)
    whole = (bag / "in.mcap").read_bytes()
    (bag / "in.mcap").write_bytes(whole[:100_000] + b"\xa5" * 20_000 + whole[120_000:])
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--ray", two_nodes.address) == 1
    error = capsys.readouterr().err
    assert "fastdepth bag:" in error and "is damaged" in error and "Traceback" not in error


def lose_a_node_after_some_parts(nodes, parts) -> None:
    while len(list(parts.glob("*.json"))) < 4:
        time.sleep(0.01)
    nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False)
