"""`fastdepth prune` from the command line: real worker processes, a kill, the long tuning and the table."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from small_networks import PRUNABLE, fresh
from small_pairs import write_pairs

from fastdepth_ros.cli import main
from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> list[str]:
    root = write_pairs(tmp_path_factory.mktemp("prune"), 12, tests=2)
    save_checkpoint(fresh(PRUNABLE), root / "start.safetensors")
    return [
        "--start", str(root / "start.safetensors"), "--root", str(root), "--budget", "0.6", "--multiple", "4",
        "--reduction", "0.05", "--steps", "2", "--batch", "2", "--holdout", "0.2",
    ]  # fmt: skip


def history(out: Path) -> list[dict[str, str]]:
    if not (out / "history.csv").exists():
        return []
    with (out / "history.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_prunes_tunes_and_prints_table_vii(arguments, tmp_path, capsys, workers):
    out = tmp_path / "run"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "{name: short, epochs: 1, batch: 4, optimizer: adamw, learning_rate: 0.001, weight_decay: 0.0, "
        "schedule: one-cycle, loss: log-depth, augmentation: warp, holdout: 0.0}"
    )
    also = ["--also", f"nyu-labeled={arguments[arguments.index('--root') + 1]}"]
    command = ["prune", *arguments, "--out", str(out), "--recipe", str(recipe), *also, "--workers", str(workers)]
    assert main([*command, "--epochs", "0"]) == 0
    told = capsys.readouterr().out
    assert main([*command, "--epochs", "1", "--tune-start", "--json"]) == 0
    assert json.loads((out / "tuned" / "run.json").read_text())["pairs"] == [10, 10]
    result = json.loads(capsys.readouterr().out)
    before, as_long, after = result["table_vii"]
    assert [before["network"], as_long["network"], after["network"]] == ["start", "start, tuned", "pruned"]
    assert as_long["macs"] == before["macs"]
    assert (as_long["rmse"], as_long["delta1"]) != (before["rmse"], before["delta1"])
    assert json.dumps(result["channels"]) in told
    assert result["after"] == after["macs"] <= 0.6 * result["before"]
    assert Channels.from_mapping(result["channels"]) == load_checkpoint(Path(result["checkpoint"]))[0].channels
    assert after["macs"] <= 0.6 * before["macs"]
    assert after["weights"] < before["weights"]
    assert 0 <= after["delta1"] <= 1 and after["rmse"] > 0
    assert load_checkpoint(out / "tuned" / "last.safetensors")[0].channels != PRUNABLE
    for picture in ("search.png", "channels.png"):
        assert cv2.imread(str(out / picture)).std() > 5


@pytest.mark.slow
def test_a_search_killed_in_iteration_3_ends_in_the_same_channels(arguments, tmp_path):
    command = [sys.executable, "-m", "fastdepth_ros", "prune", *arguments, "--epochs", "0", "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True)
    assert len(history(whole)) >= 3
    process = subprocess.Popen([*command, str(killed)], start_new_session=True)
    while not list(killed.glob("proposals-003/*.safetensors")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(history(killed)) < len(history(whole))
    subprocess.run([*command, str(killed)], check=True)
    assert history(killed) == history(whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--budget", "1"], "prunes nothing"), (["--budget", "-1"], "prunes nothing"),
        (["--resource", "latency"], "--measure"), (["--start", "missing.safetensors"], "no checkpoint at"),
        (["--root", "missing"], "no split.csv"), (["--holdout", "0"], "holdout is 0"), (["--steps", "0"], "steps is 0"),
        (["--workers", "0"], "--workers is 0"), (["--multiple", "0"], "--multiple is 0"),
        (["--test-split", "official"], "no split 'official'"), (["--dataset", "nyu-labelled"], "nyu-labelled"),
    ],
)  # fmt: skip
def test_what_cannot_be_pruned_is_said_in_one_line(arguments, tmp_path, capsys, change, told):
    assert main(["prune", *arguments, "--out", str(tmp_path / "run"), *change]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("fastdepth prune:") == 1
    assert not (tmp_path / "run").exists()


def test_what_is_needed_is_named(capsys):
    assert main(["prune", "--budget", "0.5"]) == 1
    assert "--start is needed" in capsys.readouterr().err
