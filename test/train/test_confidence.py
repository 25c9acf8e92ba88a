"""Training of a confidence head: it learns where the depth is wrong, and nothing else of the network changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_networks import lively

from fastdepth_ros.cli import main
from fastdepth_ros.data.datasets import Pair
from fastdepth_ros.nn.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from fastdepth_ros.nn.confidence import FORMS
from fastdepth_ros.train import confidence
from fastdepth_ros.train.confidence import CHECKPOINT, FIGURES, train_confidence

torch.set_num_threads(1)


class HalfWrong:
    """Pairs whose truth is about the network's depth at the left, and far from it at the right, where they are red."""

    def __init__(self, network, pairs: int, seed: int) -> None:
        self._network, self._pairs, self._seed = network, pairs, seed

    def __len__(self) -> int:
        return self._pairs

    def __getitem__(self, index: int) -> Pair:
        rng = np.random.default_rng([self._seed, index])
        small = rng.integers(60, 200, (6, 8, 3), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
        small[:, 160:, 1:] //= 8
        depth = np.full((240, 320), np.median(self._network.infer(small[8:232, 48:272])), np.float32)
        depth[:, 160:] *= rng.choice([0.4, 2.5])
        return Pair(f"{index}", small, depth)


@pytest.fixture
def small_work(monkeypatch):
    monkeypatch.setattr(confidence, "SAMPLES", 4800)
    monkeypatch.setattr(confidence, "STEPS", 120)
    monkeypatch.setattr(confidence, "BATCH", 512)


def test_the_head_learns_where_the_depth_is_wrong_and_the_depth_stays(small_work, tmp_path):
    network = lively()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    judged = train_confidence(network, [HalfWrong(network, 8, 0)], HalfWrong(network, 4, 1), "4 pairs", tmp_path)
    assert [each.calibrated for each in judged] == sorted(each.calibrated for each in judged)
    assert {each.form for each in judged} == set(FORMS) and all(each.factor > 0 for each in judged)
    loaded, _ = load_checkpoint(tmp_path / CHECKPOINT)
    assert loaded.confidence.form == judged[0].form and loaded.confidence.calibrated_on == "4 pairs"
    for name, tensor in before.items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=0, rtol=0)
    picture = HalfWrong(network, 4, 1)[0].rgb[8:232, 48:272]
    with torch.inference_mode():
        said = loaded.confidence(loaded.maps(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255))[0, 0]
    assert said[:, :96].mean() > said[:, 128:].mean() + 0.2
    found = json.loads((tmp_path / FIGURES).read_text())
    assert found["on"] == "4 pairs" and found["forms"][0]["calibrated"] == judged[0].calibrated


def test_the_same_seed_gives_the_same_head(small_work, tmp_path):
    prints = []
    for name in ("one", "two"):
        network = lively()
        train_confidence(network, [HalfWrong(network, 4, 0)], HalfWrong(network, 2, 1), "", tmp_path / name)
        prints.append(fingerprint(load_checkpoint(tmp_path / name / CHECKPOINT)[0]))
    assert prints[0] == prints[1] != fingerprint(lively())


def test_the_verb_needs_a_network_to_start_from(tmp_path, capsys):
    words = [
        "train",
        "--confidence",
        "--dataset",
        "nyu-labeled",
        "--root",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 1
    assert "--start" in capsys.readouterr().err


def test_training_on_from_a_network_with_a_head_drops_the_head(small_work, tmp_path):
    from small_networks import confident

    from fastdepth_ros.train.recipe import load_recipe
    from fastdepth_ros.train.trainer import Trainer

    network = confident()
    recipe = load_recipe("strong", {"epochs": 1, "batch": 2, "holdout": 0.0})
    Trainer(network, recipe, HalfWrong(lively(), 2, 0), tmp_path / "run")
    assert network.confidence is None
    save_checkpoint(network, tmp_path / "plain.safetensors")
    assert load_checkpoint(tmp_path / "plain.safetensors")[0].confidence is None
