"""`fastdepth tune`: what it measures is kept, tried tiles are not tried again, and workers may die."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tracker import Processes, wait_for

pytest.importorskip("tvm", reason="tvm is not installed")
from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.cli import main
from fastdepth_ros.deploy import tune as tune_module
from fastdepth_ros.deploy.module import kernel_name, kernels
from fastdepth_ros.deploy.records import Records, Trial, open_records, records_path
from fastdepth_ros.deploy.schedules import Tile, tiles
from fastdepth_ros.deploy.steps import Plan, read_plan
from fastdepth_ros.deploy.targets import find_target
from fastdepth_ros.deploy.tune import Device, network_ms, report, tune

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

HOST = find_target("host")


@pytest.fixture(scope="module")
def plan(artifact_folder) -> Plan:
    """The last two kernels of the tiny network."""
    whole = read_plan(find_artifact(artifact_folder).model_file("onnx").path)
    return Plan(whole.steps[-2:], whole.depth, whole.size_px)


def opened(folder: Path, plan: Plan) -> Records:
    return open_records(records_path(folder, HOST), HOST, kernels(plan))


def test_trials_are_kept_and_tuning_goes_on_where_it_ended(plan, tmp_path):
    records = opened(tmp_path, plan)
    tune(plan, HOST, records, 2, Device())
    assert len(records.trials) == 2
    assert all(trial.ms is not None and 0 < trial.ms < 1000 for trial in records.trials)
    again = opened(tmp_path, plan)
    assert again.trials == records.trials
    tune(plan, HOST, again, 3, Device())
    assert again.trials[:2] == records.trials
    assert len({(trial.kernel, trial.tile) for trial in again.trials}) == 3
    best = again.best()
    assert network_ms(plan, again) == pytest.approx(sum(trial.ms for trial in best.values()))
    for layer in report(plan, HOST, again):
        assert layer.best_ms is not None and layer.guess_ms is not None and layer.best_ms <= layer.guess_ms
        assert layer.trials >= 1


@pytest.fixture
def equal(monkeypatch) -> None:
    """Every tile takes the same time, and none is measured: what counts is which tiles are asked for."""
    monkeypatch.setattr(tune_module.Meter, "_new_runner", lambda self: None)
    monkeypatch.setattr(tune_module.Meter, "measure", lambda self, step, tile: Trial(kernel_name(step), tile, 1.0))


def test_the_guess_is_tried_first(plan, tmp_path, equal):
    records = opened(tmp_path, plan)
    tune(plan, HOST, records, 2, Device())
    for trial, step in zip(records.trials, plan.steps):
        assert trial.tile == tiles(step, HOST.hardware.lanes, HOST.hardware.registers)[0]


def test_what_was_fastest_elsewhere_is_tried_before_the_guess(plan, tmp_path, equal):
    records, hardware = opened(tmp_path, plan), HOST.hardware
    first = {kernel_name(step): tiles(step, hardware.lanes, hardware.registers)[-1] for step in plan.steps}
    tune(plan, HOST, records, 4, Device(), first)
    assert {trial.kernel: trial.tile for trial in records.trials[:2]} == first
    guesses = [tiles(step, hardware.lanes, hardware.registers)[0] for step in plan.steps]
    assert [trial.tile for trial in records.trials[2:]] == guesses


def test_tuning_ends_when_every_tile_was_tried_once(plan, tmp_path, equal):
    tune(plan, HOST, opened(tmp_path, plan), 7, Device())
    records = opened(tmp_path, plan)
    tune(plan, HOST, records, 10**6, Device())
    assert len({(trial.kernel, trial.tile) for trial in records.trials}) == len(records.trials)
    hardware = HOST.hardware
    assert len(records.trials) == sum(len(tiles(step, hardware.lanes, hardware.registers)) for step in plan.steps)


def test_a_tile_that_cannot_be_built_costs_one_trial(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(tune_module, "tiles", lambda *rest: [Tile(1, 0, 1), Tile(1, 7, 1), Tile(1, 8, 1)])
    records = opened(tmp_path, plan)
    tune(plan, HOST, records, 4, Device())
    failed = [trial for trial in records.trials if trial.ms is None]
    assert failed and all(trial.error for trial in failed)
    assert {name: trial.tile.pixels for name, trial in records.best().items()} == dict.fromkeys(kernels(plan), 7)
    assert opened(tmp_path, plan).trials == records.trials


def test_a_kill_before_the_first_line_was_whole_costs_nothing(plan, tmp_path):
    content = opened(tmp_path, plan).path.read_bytes()
    for kept in (b"", content[:9]):
        records_path(tmp_path, HOST).write_bytes(kept)
        assert opened(tmp_path, plan).path.read_bytes() == content


def test_a_line_that_a_kill_cut_short_is_measured_again(plan, tmp_path):
    records = opened(tmp_path, plan)
    for pixels in (1, 2):
        records.add(Trial(kernel_name(plan.steps[0]), Tile(1, pixels), 2.0))
    content = records.path.read_bytes()
    records.path.write_bytes(content[:-9])
    again = opened(tmp_path, plan)
    assert [trial.tile.pixels for trial in again.trials] == [1]
    again.add(Trial(kernel_name(plan.steps[0]), Tile(1, 2), 2.0))
    assert records.path.read_bytes() == content


def test_the_best_alone_are_records_too(plan, tmp_path):
    records = opened(tmp_path, plan)
    for pixels, ms in ((1, 3.0), (2, 1.0), (4, None), (7, 2.0)):
        records.add(Trial(kernel_name(plan.steps[0]), Tile(1, pixels), ms))
    records.write_best(tmp_path / "best")
    (trial,) = open_records(tmp_path / "best", HOST, kernels(plan)).trials
    assert (trial.tile.pixels, trial.ms) == (2, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tracker", "127.0.0.1:9190"], "--tracker and --key belong together"),
        (["--target", "tx2-cpu"], "does not run on this machine"),
        (["--target", "nonsense"], "no target 'nonsense'"),
    ],
)
def test_what_cannot_be_tuned_is_said(arguments, said, tmp_path, capsys):
    assert main(["tune", "--db", str(tmp_path), *arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_tracker_without_the_device_ends_with_a_word(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(tune_module, "DEVICE_WAIT_S", 0.1)
    monkeypatch.setattr(tune_module, "POLL_S", 0.01)
    with pytest.raises(
        tune_module.FastDepthError, match="no device with key 'tx2' at 127.0.0.1:9; the same command goes on"
    ):
        tune(plan, HOST, opened(tmp_path, plan), 3, Device("127.0.0.1", 9, "tx2"))


@pytest.mark.slow
def test_tuning_over_a_tracker_survives_the_death_of_a_server_and_its_own(artifact_folder, tmp_path):
    processes = Processes(tmp_path)
    path = records_path(tmp_path / "db", HOST)

    def trials() -> list[dict]:
        return [json.loads(line) for line in path.read_text().splitlines()[1:]] if path.exists() else []

    def start_tuning(count: int) -> subprocess.Popen:
        return processes.start(
            "tune", "fastdepth_ros", "tune", "--model", str(artifact_folder), "--db", str(tmp_path / "db"),
            "--trials", str(count), "--tracker", f"127.0.0.1:{processes.port}", "--key", "dev",
        )  # fmt: skip

    try:
        processes.tracker()
        server, tuning = processes.server(), start_tuning(90)
        wait_for(lambda: len(trials()) >= 10, "ten trials")
        processes.kill(server)
        wait_for(lambda: "waiting for a device with key 'dev'" in processes.log("tune"), "word of the dead server")
        dead = len(trials())
        processes.server()
        wait_for(lambda: len(trials()) >= dead + 5, "trials on the new server")
        processes.kill(tuning)
        before = trials()
        tuning = start_tuning(90)
        wait_for(lambda: tuning.poll() is not None, "end of tuning")
    finally:
        processes.close()
    assert tuning.returncode == 0, processes.log("tune")
    after = trials()
    assert after[: len(before) - 1] == before[: len(before) - 1]
    assert len(after) == 90
    assert all(trial["ms"] for trial in after), [trial for trial in after if not trial["ms"]]
    by_kernel: dict[str, list[float]] = {}
    for trial in after:
        by_kernel.setdefault(trial["kernel"], []).append(trial["ms"])
    assert any(min(times) < times[0] for times in by_kernel.values())  # the first is the guess
    assert "network" in processes.log("tune").splitlines()[-1]
