"""A power cut during training, pruning or labeling: every file resumes to the same end, or is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from power import cuts  # noqa: E402
from small_networks import PRUNABLE, TINY, fresh  # noqa: E402
from small_pairs import write_pairs  # noqa: E402

from fastdepth_ros.data.datasets import DatasetError, open_dataset  # noqa: E402
from fastdepth_ros.data.photographs import Photographs  # noqa: E402
from fastdepth_ros.errors import FastDepthError  # noqa: E402
from fastdepth_ros.jobs.pool import Work, local_pool  # noqa: E402
from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from fastdepth_ros.prune import trial  # noqa: E402
from fastdepth_ros.prune.netadapt import NetAdapt, Search  # noqa: E402
from fastdepth_ros.prune.resources import resource  # noqa: E402
from fastdepth_ros.train.labels import Teacher, label_photographs  # noqa: E402
from fastdepth_ros.train.recipe import load_recipe  # noqa: E402
from fastdepth_ros.train.trainer import Trainer  # noqa: E402

RECIPE = load_recipe("strong", {"epochs": 2, "batch": 4, "seed": 3, "holdout": 0.25})
MACS = resource("macs")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Eight small pairs."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), 8)


def attempt(refusal: type[Exception], work: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[Any, str]:
    """What the work gives, or None and why it was refused."""
    try:
        return work(*arguments, **more), ""
    except refusal as error:
        return None, str(error)


def trainer(root: Path, out: Path) -> Trainer:
    return Trainer(fresh(TINY, seed=3), RECIPE, open_dataset("nyu-labeled", root, "train"), out)


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_checkpoint(path)[0].state_dict() for path in (one, other))
    return all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in turns", "both"])
@pytest.mark.parametrize("epochs", [1, 2], ids=["between two epochs", "finished"])
def test_every_file_of_a_training_run_resumes_or_is_named(both, epochs, root, tmp_path, monkeypatch):
    for picture in ("write_learning_curve", "write_samples"):
        monkeypatch.setattr(f"fastdepth_ros.train.trainer.{picture}", lambda *_: None)
    whole, job = tmp_path / "whole", tmp_path / "job"
    trainer(root, whole).run()
    with monkeypatch.context() as killed:
        epoch, done = Trainer._train_epoch, []

        def train_epoch(self):
            if len(done) == epochs:
                raise KeyboardInterrupt
            done.append(epoch(self))

        killed.setattr(Trainer, "_train_epoch", train_epoch)
        begun = trainer(root, job)
        if epochs < RECIPE.epochs:
            with pytest.raises(KeyboardInterrupt):
                begun.run()
        else:
            begun.run()
    named = set()
    for file, copy in cuts(job, tmp_path / "cut", both=both):
        result, told = attempt(FastDepthError, lambda out: trainer(root, out).run(), copy)
        if result is None:
            assert str(copy / file) in told and ("remove" in told or "choose another" in told)
            named.add(file)
            continue
        for name in ("last.safetensors", "best.safetensors"):
            assert same_weights(copy / name, whole / name), file
        assert (copy / "log.csv").read_bytes() == (whole / "log.csv").read_bytes(), file
    assert named <= {"run.json", "state.pt", "best.safetensors"}


@pytest.fixture
def quick_trials(monkeypatch):
    """Proposals that are not tuned, and judged by their weights' sum."""
    monkeypatch.setattr(trial, "_tune", lambda *_: None)

    def judged(network, *_):
        return {"delta1": sum(float(one.detach().abs().sum()) for one in network.parameters()) % 1, "rmse": 1.0}

    monkeypatch.setattr(trial, "accuracy", judged)


def search(start: Path, root: Path, out: Path, work: Work = trial.TRIALS) -> NetAdapt:
    wanted = Search("macs", 0.8 * MACS.cost(PRUNABLE), reduction=0.09, multiple=4)
    with local_pool(work, 1) as pool:
        netadapt = NetAdapt(start, wanted, trial.Training("nyu-labeled", root, holdout=0.25), MACS, out, pool)
        netadapt.run()
    return netadapt


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in turns", "both"])
@pytest.mark.parametrize("trials", [4, 999], ids=["in an iteration", "finished"])
def test_every_file_of_a_search_resumes_or_is_named(both, trials, root, tmp_path, quick_trials):
    start, job = tmp_path / "start.safetensors", tmp_path / "job"
    save_checkpoint(fresh(PRUNABLE, seed=3), start)
    whole = search(start, root, tmp_path / "whole")
    assert len(whole.steps) >= 2
    done: list[object] = []

    def until_killed(one):
        if len(done) == trials:
            raise KeyboardInterrupt
        done.append(one)
        return trial.run_trial(one)

    try:
        search(start, root, job, Work(until_killed))
    except KeyboardInterrupt:
        assert list(job.glob("proposals-00*/*.safetensors"))
    assert (job / "history.csv").exists()
    for file, copy in cuts(job, tmp_path / "cut", both=both):
        resumed, told = attempt(FastDepthError, search, start, root, copy)
        if resumed is None:
            assert file == "search.json" and str(copy / file) in told and "choose another folder" in told
            continue
        assert resumed.steps == whole.steps, file
        last = f"iteration-{len(whole.steps):03d}.safetensors"
        assert same_weights(copy / last, whole.out / last), file
        assert (copy / "history.csv").read_bytes() == (whole.out / "history.csv").read_bytes(), file


def test_every_file_of_a_labeled_folder_resumes_or_is_named(tmp_path):
    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))[1]
    np.savez(tmp_path / "photos.npz", data=np.tile(picture, 3), off=np.arange(4) * len(picture))
    photographs, teacher, job = Photographs(tmp_path / "photos.npz"), fresh(TINY, seed=3), tmp_path / "job"
    label_photographs(photographs, [Teacher(teacher, 64)], job)
    for file, copy in cuts(job, tmp_path / "cut"):
        anew, told = attempt(FastDepthError, label_photographs, photographs, [Teacher(teacher, 64)], copy)
        if anew is None:
            assert file == "job.json" and str(copy / file) in told and "choose another" in told
            continue
        assert anew == (0 if file == "split.csv" else 1), file
        assert all((copy / one).read_bytes() == (job / one).read_bytes() for one in files(job)), file
    for kept in (0, 200):
        shutil.copy(tmp_path / "photos.npz", tmp_path / "cut.npz")
        os.truncate(tmp_path / "cut.npz", kept)
        with pytest.raises(DatasetError, match=r"cut\.npz"):
            Photographs(tmp_path / "cut.npz")


def files(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
