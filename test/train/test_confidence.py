"""Training of a confidence head: it learns where the depth is wrong, and nothing else of the network changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_networks import PRUNABLE, lively

from fastdepth_ros.cli import main
from fastdepth_ros.data.datasets import Pair
from fastdepth_ros.nn.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from fastdepth_ros.nn.confidence import FORMS
from fastdepth_ros.train import confidence
from fastdepth_ros.train.confidence import CHECKPOINT, FIGURES, train_confidence

torch.set_num_threads(1)


def calm():
    """A random network whose depth is about 1.5 m everywhere."""
    network = lively(PRUNABLE)
    with torch.no_grad():
        network.head.weight.mul_(0.01)
    return network


class RedIsWrong:
    """Pairs whose truth is about the depth of `calm`, but far from it where they are red: every second one."""

    def __init__(self, pairs: int, seed: int) -> None:
        self._pairs, self._seed = pairs, seed

    def __len__(self) -> int:
        return self._pairs

    def __getitem__(self, index: int) -> Pair:
        rng = np.random.default_rng([self._seed, index])
        small = rng.integers(60, 200, (6, 8, 3), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
        depth = np.full((240, 320), 1.5, np.float32)
        if index % 2:
            small[..., 1:] //= 8
            depth *= rng.choice([0.4, 2.5])
        return Pair(f"{index}", small, depth)


@pytest.fixture
def small_work(monkeypatch):
    monkeypatch.setattr(confidence, "SAMPLES", 4800)
    monkeypatch.setattr(confidence, "STEPS", 120)
    monkeypatch.setattr(confidence, "BATCH", 512)


def test_the_head_learns_where_the_depth_is_wrong_and_the_depth_stays(small_work, tmp_path):
    network = calm()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    judged = train_confidence(network, [RedIsWrong(8, 0)], RedIsWrong(4, 1), "4 pairs", tmp_path)
    assert [each.calibrated for each in judged] == sorted(each.calibrated for each in judged)
    assert {each.form for each in judged} == set(FORMS) and all(each.factor > 0 for each in judged)
    loaded, _ = load_checkpoint(tmp_path / CHECKPOINT)
    assert loaded.confidence.form == judged[0].form and loaded.confidence.calibrated_on == "4 pairs"
    for name, tensor in before.items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=0, rtol=0)
    gray, red = (RedIsWrong(4, 1)[index].rgb[8:232, 48:272].copy() for index in (0, 1))
    with torch.inference_mode():
        planes = [torch.from_numpy(each).permute(2, 0, 1)[None] / 255 for each in (gray, red)]
        said = [float(loaded.confidence(loaded.maps(each)).mean()) for each in planes]
    assert said[0] > said[1] + 0.05
    found = json.loads((tmp_path / FIGURES).read_text())
    assert found["on"] == "4 pairs" and found["forms"][0]["calibrated"] == judged[0].calibrated


def test_the_same_seed_gives_the_same_head(small_work, tmp_path):
    prints = []
    for name in ("one", "two"):
        network = calm()
        train_confidence(network, [RedIsWrong(4, 0)], RedIsWrong(2, 1), "", tmp_path / name)
        prints.append(fingerprint(load_checkpoint(tmp_path / name / CHECKPOINT)[0]))
    assert prints[0] == prints[1] != fingerprint(calm())


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
    Trainer(network, recipe, RedIsWrong(2, 0), tmp_path / "run")
    assert network.confidence is None
    save_checkpoint(network, tmp_path / "plain.safetensors")
    assert load_checkpoint(tmp_path / "plain.safetensors")[0].confidence is None
