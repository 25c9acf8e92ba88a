"""Checkpoints come back as they were, and what is none is refused."""

from __future__ import annotations

import json
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import UNEVEN, fresh

from fastdepth_ros.nn.channels import PRUNED, Channels
from fastdepth_ros.nn.checkpoints import CheckpointError, folded, load_checkpoint, network_of, save_checkpoint
from fastdepth_ros.nn.network import FastDepth


@pytest.fixture
def network() -> FastDepth:
    network = fresh(UNEVEN, seed=5)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))  # statistics of its own
    return network.eval()


def assert_same(one: FastDepth, other: FastDepth) -> None:
    left, right = one.state_dict(), other.state_dict()
    assert list(left) == list(right)
    for name in left:
        torch.testing.assert_close(left[name], right[name], atol=0, rtol=0)


def test_a_checkpoint_comes_back_bit_for_bit_with_its_notes(network, tmp_path):
    path = tmp_path / "network.safetensors"
    save_checkpoint(network, path, {"epoch": "7"})
    loaded, notes = load_checkpoint(path)
    assert_same(loaded, network)
    assert loaded.channels == UNEVEN
    assert not loaded.training
    assert notes["epoch"] == "7"


def test_a_folded_network_comes_back_folded(network, tmp_path):
    plain = folded(network)
    save_checkpoint(plain, tmp_path / "folded.safetensors")
    loaded, _ = load_checkpoint(tmp_path / "folded.safetensors")
    assert_same(loaded, plain)


def test_a_network_in_channels_last_memory_comes_back(network, tmp_path):
    save_checkpoint(network.to(memory_format=torch.channels_last), tmp_path / "network.safetensors")
    assert_same(load_checkpoint(tmp_path / "network.safetensors")[0], network)


def test_half_precision_is_read_as_float32(network, tmp_path):
    path = tmp_path / "half.safetensors"
    save_checkpoint(network, path)
    halves = {name: t.half() if t.is_floating_point() else t for name, t in load_file(path).items()}
    save_file(halves, path, {"channels": json.dumps(UNEVEN.as_mapping())})
    loaded, _ = load_checkpoint(path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded.head.weight, network.head.weight, atol=1e-3, rtol=1e-2)


def test_it_replaces_an_older_one_leaves_nothing_and_others_can_read_it(network, tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_text("older")
    save_checkpoint(network, path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x80\x02pickle", bytes(100)])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "other.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_a_truncated_checkpoint_is_refused(network, tmp_path):
    path = tmp_path / "network.safetensors"
    save_checkpoint(network, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="safetensors"):
        load_checkpoint(path)


def test_safetensors_of_somebody_else_are_refused(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="channel list"):
        load_checkpoint(tmp_path / "foreign.safetensors")


def test_tensors_that_do_not_fit_the_channel_list_are_refused_by_name(network):
    tensors = dict(network.state_dict())
    with pytest.raises(CheckpointError, match=r"head\.weight"):
        network_of(PRUNED, tensors)
    with pytest.raises(CheckpointError, match=r"head\.bias"):
        network_of(UNEVEN, {name: tensor for name, tensor in tensors.items() if name != "head.bias"})
    with pytest.raises(CheckpointError, match="surplus"):
        network_of(UNEVEN, {**tensors, "surplus": torch.zeros(1)})


HUGE = json.dumps(Channels((10**9,) * 14, (10**9,) * 5).as_mapping())


@pytest.mark.parametrize("text", ["not JSON", "[]", '{"encoder": [1], "decoder": [2]}', HUGE])
def test_a_channel_list_that_makes_no_network_is_refused(tmp_path, text):
    save_file({"a": torch.zeros(3)}, tmp_path / "spoilt.safetensors", {"channels": text})
    with pytest.raises(CheckpointError, match=r"spoilt\.safetensors"):
        load_checkpoint(tmp_path / "spoilt.safetensors")


def test_an_artifact_is_told_from_a_checkpoint(artifact_folder):
    with pytest.raises(CheckpointError, match=r"is an artifact, no checkpoint.*can be neither trained nor pruned"):
        load_checkpoint(artifact_folder)
