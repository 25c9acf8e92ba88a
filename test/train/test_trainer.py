"""The training loop: it runs, resumes to the same bits, and refuses what is not its run."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_networks import TINY, fresh
from small_pairs import write_pairs

from fastdepth_ros.data.datasets import open_dataset
from fastdepth_ros.data.folder import FolderDataset
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint
from fastdepth_ros.nn.network import DepthNetwork, FastDepth, initialize
from fastdepth_ros.train import trainer as trainer_module
from fastdepth_ros.train.recipe import Recipe, load_recipe
from fastdepth_ros.train.trainer import Trainer

RECIPE = load_recipe("strong", {"epochs": 2, "batch": 4, "seed": 3, "holdout": 0.0})
PAIRS = 32


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> FolderDataset:
    """32 small pairs on disk: brightness tells the distance."""
    root = write_pairs(tmp_path_factory.mktemp("pairs"), PAIRS, first=1)
    return open_dataset("nyu-labeled", root, "train")


@pytest.fixture(scope="module")
def few(dataset) -> FolderDataset:
    return replace(dataset, names=dataset.names[:8])


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory) -> Path:
    """The folder of a run of two epochs."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert trainer(RECIPE, dataset, out).run() == out / "last.safetensors"
    return out


def trainer(recipe: Recipe, dataset, out: Path, channels: Channels = TINY, **options) -> Trainer:
    """A trainer with the first weights that the recipe's seed gives."""
    return Trainer(fresh(channels, recipe.seed), recipe, dataset, out, **options)


def break_off(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Make the sample after `after` others end the run, as a Ctrl-C would."""
    plain, made = trainer_module.augment, []

    def augment(*arguments):
        made.append(None)
        if len(made) > after:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setitem(trainer_module.AUGMENTATIONS, "warp", augment)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(out / "last.safetensors")[0].state_dict()


def assert_same_weights(one: Path, other: Path) -> None:
    left, right = weights(one), weights(other)
    assert list(left) == list(right)
    for name in left:
        assert torch.equal(left[name], right[name]), name


def test_two_epochs_run_and_leave_a_checkpoint_and_a_log(uninterrupted):
    network, notes = load_checkpoint(uninterrupted / "last.safetensors")
    assert network.channels == TINY
    assert notes["epoch"] == "2"
    with (uninterrupted / "log.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 < float(row["loss"]) < 10 for row in rows)
    assert json.loads((uninterrupted / "run.json").read_text())["network"] == {"channels": TINY.as_mapping()}
    assert not [path for path in uninterrupted.iterdir() if "partial" in path.name]


def test_training_moves_the_weights_and_the_statistics(uninterrupted, dataset, tmp_path):
    fresh = trainer(RECIPE, dataset, tmp_path / "fresh").network.state_dict()
    trained = weights(uninterrupted)
    for name in fresh:
        if name.endswith(("weight", "running_mean", "running_var")):
            assert not torch.equal(fresh[name].cpu(), trained[name]), name


def test_a_few_epochs_learn_that_everything_is_far(few, tmp_path):
    far = replace(few, meters=lambda stored: np.full(stored.shape, 8, np.float32))
    running = trainer(replace(RECIPE, epochs=10, learning_rate=5e-2), far, tmp_path / "run")
    running.run()
    losses = [entry["loss"] for entry in running.log]
    assert losses[-1] < 0.7 * losses[0]


def test_each_epoch_takes_every_pair_once_in_its_own_order_and_look(few, tmp_path, monkeypatch):
    plain, taken, made = trainer_module.augment, [], []

    def augment(rgb, *others):
        taken.append(float(rgb.mean()))
        made.append(plain(rgb, *others))
        return made[-1]

    monkeypatch.setitem(trainer_module.AUGMENTATIONS, "warp", augment)
    trainer(RECIPE, few, tmp_path / "run").run()
    first, second = taken[:8], taken[8:]
    assert sorted(first) == sorted(second) == sorted(float(pair.rgb.mean()) for pair in few)
    assert first != second
    same_pair = made[8 + second.index(first[0])]
    assert (made[0][0] != same_pair[0]).any()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(few, tmp_path):
    short = replace(RECIPE, epochs=1)
    for name, seed in (("one", 4), ("same", 4), ("other", 5)):
        trainer(replace(short, seed=seed), few, tmp_path / name).run()
    assert_same_weights(tmp_path / "one", tmp_path / "same")
    assert not torch.equal(weights(tmp_path / "one")["head.weight"], weights(tmp_path / "other")["head.weight"])


@pytest.mark.parametrize(
    "after", [PAIRS + 14, pytest.param(PAIRS // 2, marks=pytest.mark.slow)], ids=["in epoch 2", "in epoch 1"]
)
def test_a_run_that_was_killed_resumes_to_the_bits_of_an_uninterrupted_one(
    uninterrupted, dataset, tmp_path, monkeypatch, after
):
    out = tmp_path / "killed"
    with monkeypatch.context() as patch:
        break_off(patch, after)
        with pytest.raises(KeyboardInterrupt):
            trainer(RECIPE, dataset, out).run()
    resumed = trainer(RECIPE, dataset, out)
    assert len(resumed.log) == after // PAIRS
    resumed.run()
    assert_same_weights(out, uninterrupted)
    assert (out / "log.csv").read_text() == (uninterrupted / "log.csv").read_text()


def test_a_finished_run_is_left_as_it_is(few, tmp_path, monkeypatch):
    out = tmp_path / "run"
    short = replace(RECIPE, epochs=1)
    trainer(short, few, out).run()
    before = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    break_off(monkeypatch, 0)
    assert trainer(short, few, out).run() == out / "last.safetensors"
    assert {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_killed_while_it_wrote_its_log_ends_with_the_whole_log(few, tmp_path, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(trainer_module, "write_learning_curve", killed)
        first = trainer(replace(RECIPE, epochs=1), few, out)
        with pytest.raises(KeyboardInterrupt):
            first.run()
    (out / "log.csv").unlink()
    trainer(replace(RECIPE, epochs=1), few, out).run()
    assert len((out / "log.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "change", [{"epochs": 3}, {"batch": 8}, {"seed": 4}, {"learning_rate": 1e-3}, {"weight_decay": 0.0}], ids=str
)
def test_another_recipe_in_the_same_folder_is_refused(uninterrupted, dataset, change):
    kept = (uninterrupted / "run.json").read_text()
    with pytest.raises(FastDepthError, match=r"another run.*run\.json"):
        trainer(replace(RECIPE, **change), dataset, uninterrupted)
    assert (uninterrupted / "run.json").read_text() == kept


def test_other_first_weights_in_the_same_folder_are_refused(uninterrupted, dataset):
    network = FastDepth(TINY)
    initialize(network, seed=99)
    with pytest.raises(FastDepthError, match="another"):
        Trainer(network, RECIPE, dataset, uninterrupted)


def test_other_channels_in_the_same_folder_are_refused(uninterrupted, dataset):
    wider = replace(TINY, decoder=(9, *TINY.decoder[1:]))
    with pytest.raises(FastDepthError, match="another"):
        trainer(RECIPE, dataset, uninterrupted, wider)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(dataset, tmp_path):
    endless = replace(dataset, meters=lambda stored: np.full(stored.shape, np.inf, np.float32))
    with pytest.raises(FastDepthError, match=r"loss is (inf|nan) in epoch 1"):
        trainer(RECIPE, endless, tmp_path / "run").run()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["bad_batch.safetensors", "run.json"]


def test_fewer_pairs_than_a_batch_are_refused_with_both_numbers(dataset, tmp_path):
    with pytest.raises(FastDepthError, match=r"3 pairs.*batch of 4"):
        trainer(RECIPE, replace(dataset, names=dataset.names[:3]), tmp_path / "run")


def test_an_epoch_without_a_last_full_batch_still_runs(dataset, tmp_path):
    running = trainer(replace(RECIPE, epochs=1), replace(dataset, names=dataset.names[:7]), tmp_path / "run")
    running.run()
    assert len(running.loader) == 1


PAPER = load_recipe("paper", {"epochs": 1, "batch": 4, "holdout": 0.25})
STRONG = load_recipe("strong", {"epochs": 1, "batch": 4, "holdout": 0.25})


@pytest.mark.parametrize("recipe", [pytest.param(PAPER, marks=pytest.mark.slow), STRONG], ids=["paper", "strong"])
def test_one_epoch_that_is_killed_in_the_middle_ends_in_the_same_bits(dataset, tmp_path, monkeypatch, recipe):
    trainer(recipe, dataset, tmp_path / "whole").run()
    with monkeypatch.context() as patch:
        plain, made = trainer_module.AUGMENTATIONS[recipe.augmentation], []

        def stop(*arguments):
            made.append(None)
            if len(made) > 10:
                raise KeyboardInterrupt
            return plain(*arguments)

        patch.setitem(trainer_module.AUGMENTATIONS, recipe.augmentation, stop)
        with pytest.raises(KeyboardInterrupt):
            trainer(recipe, dataset, tmp_path / "killed", checkpoint_s=0).run()
    resumed = trainer(recipe, dataset, tmp_path / "killed")
    assert resumed.step == 2  # whole batches of four before the eleventh sample
    resumed.run()
    assert_same_weights(tmp_path / "killed", tmp_path / "whole")
    assert (tmp_path / "killed" / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()


def test_held_out_pairs_choose_the_best_checkpoint_and_are_drawn(dataset, tmp_path):
    out = tmp_path / "run"
    running = trainer(replace(STRONG, epochs=3), dataset, out)
    assert running.run() == out / "best.safetensors"
    assert len(running.held_out) == 8
    best = max(running.log, key=lambda row: row["delta1"])
    assert load_checkpoint(out / "best.safetensors")[1]["delta1"] == str(best["delta1"])
    for picture in ("samples.png", "learning_curve.png"):
        assert cv2.imread(str(out / picture)).std() > 0
    assert any((out / "tensorboard").iterdir())


def test_the_average_is_saved_and_not_the_newest_weights(dataset, tmp_path):
    running = trainer(STRONG, dataset, tmp_path / "run")
    running.run()
    saved = weights(tmp_path / "run")["head.weight"]
    assert torch.equal(saved, running.average.module.head.weight)
    assert not torch.equal(saved, running.network.head.weight)


def test_mixed_precision_takes_another_way_to_nearly_the_same_loss(dataset, tmp_path):
    plain, mixed = trainer(STRONG, dataset, tmp_path / "plain"), trainer(STRONG, dataset, tmp_path / "mixed", amp=True)
    plain.run()
    mixed.run()
    assert mixed.log[0]["loss"] != plain.log[0]["loss"]
    assert mixed.log[0]["loss"] == pytest.approx(plain.log[0]["loss"], rel=0.05)


def test_a_variant_of_the_paper_trains_and_its_checkpoint_names_it(few, tmp_path):
    network = DepthNetwork.of("mobilenet_v2", "deconv5", kernel="depthwise", skip="none")
    initialize(network)
    Trainer(network, replace(STRONG, batch=4, input_px=64, holdout=0), few, tmp_path / "run").run()
    loaded, _ = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert loaded.description() == network.description()


def test_an_epoch_passes_over_the_other_data_sets_too_and_repeats_its_own(few, tmp_path, monkeypatch):
    other = replace(few, names=few.names[:4])
    recipe = replace(RECIPE, epochs=1, repeat=3, holdout=0.25)
    joined = trainer(recipe, few, tmp_path / "run", others=[other])
    assert len(joined.loader) == (3 * 6 + 4) // 4
    joined.run()
    with pytest.raises(FastDepthError):  # other data are another run
        trainer(recipe, few, tmp_path / "run")


def test_the_input_can_be_smaller_and_the_encoder_slower(few, tmp_path):
    recipe = replace(RECIPE, epochs=1, input_px=96, encoder_rate=0.1, holdout=0.25)
    run = trainer(recipe, few, tmp_path / "run")
    rgb, depth = next(iter(run.loader.epoch(0)))
    assert rgb.shape[2:] == (96, 96)
    assert depth.shape[2:] == (48, 48)
    first = {name: weight.clone() for name, weight in run.network.state_dict().items()}
    run.run()
    moved = {name: float((weight - first[name]).abs().max()) for name, weight in run.network.state_dict().items()}
    assert 0 < moved["encoder.5.pw.conv.weight"] < 0.3 * moved["decoder.1.pw.conv.weight"]


@pytest.mark.slow
def test_two_processes_train_as_one(dataset, tmp_path):
    """Training by torchrun with gloo: the same recipe, half of each batch per process."""
    root = dataset.root
    start = FastDepth(TINY)
    initialize(start)
    save_checkpoint(start, tmp_path / "start.safetensors")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--",
        "fastdepth_ros", "train", "--dataset", "nyu-labeled", "--root", str(root), "--out", str(tmp_path / "run"),
        "--start", str(tmp_path / "start.safetensors"), "--recipe", "paper", "--epochs", "1", "--batch", "8",
        "--holdout", "0",
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, timeout=1000)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["epoch"] == "1"


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["paper", "strong"])
def test_an_epoch_on_nyu_that_is_killed_resumes_to_the_same_weights(shared, tmp_path, recipe):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.as_mapping()))

    def command(out: Path) -> list[str]:
        return [
            sys.executable, "-m", "fastdepth_ros", "train", "--dataset", "nyu-labeled", "--no-check",
            "--root", str(shared / "data" / "nyu_labeled"), "--recipe", recipe, "--epochs", "1",
            "--channels", str(tmp_path / "tiny.json"), "--checkpoint-s", "1", "--out", str(out),
        ]  # fmt: skip

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = subprocess.Popen(command(tmp_path / "killed"), stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "state.pt").exists():
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "log.csv").exists()
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    assert_same_weights(tmp_path / "killed", tmp_path / "whole")
