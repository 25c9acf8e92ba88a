"""Choice of the engine: what may be chosen, in which order, and when a kept choice is believed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from manifests import edit_manifest

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.choice import kept as choice_room
from fastdepth_ros.choice.choice import Choice, Wanted, candidates, load_chosen
from fastdepth_ros.choice.kept import Timed, best_of, keep_choice, kept_choice, thread_counts
from fastdepth_ros.choice.measure import Measurement
from fastdepth_ros.cli import main
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import OtherLoad, process_cpu_s
from fastdepth_ros.share import cache_folder

FULL = {"nyu-labeled/test/authors": {"delta1": 0.725}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder() / "choices"


@pytest.fixture
def with_int8(spoiled: Path):
    """The artifact with a precision int8 of a recorded delta1; its file is that of fp32."""

    def make(delta1: float | None, **golden: float) -> Artifact:
        def change(manifest: dict) -> None:
            manifest["files"]["onnx-int8"] = manifest["files"]["onnx"]
            manifest["accuracy"] = FULL
            accuracy = {} if delta1 is None else {"nyu-labeled/test/authors": {"delta1": delta1}}
            record = {**manifest["golden"], **golden}
            manifest["precisions"] = {"int8": {"golden": record, "accuracy": accuracy}}

        edit_manifest(spoiled, change)
        return find_artifact(spoiled)

    return make


def engines(artifact: Artifact, wanted: Wanted) -> list[tuple[str, str]]:
    return [(choice.backend, choice.precision) for choice in candidates(artifact, wanted)]


def test_a_named_backend_takes_fp32(with_int8):
    assert engines(with_int8(0.725), Wanted("onnxruntime")) == [("onnxruntime", "fp32")]


@pytest.mark.needs("ai_edge_litert")
def test_the_only_precision_of_an_artifact_is_taken(tflite_folder, tmp_path):
    manifest = json.loads((tflite_folder / "manifest.json").read_text())
    golden, entry = manifest.pop("golden"), manifest["files"].pop("tflite")
    manifest |= {"files": {"tflite-int8": entry}, "precisions": {"int8": {"golden": golden}}}
    (tmp_path / entry["file"]).write_bytes((tflite_folder / entry["file"]).read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for backend in ("auto", "litert"):
        assert engines(find_artifact(tmp_path), Wanted(backend)) == [("litert", "int8")]


def test_a_named_backend_that_is_not_there_is_refused(artifact_folder):
    with pytest.raises(FastDepthError, match="unknown backend 'caffe'"):
        candidates(find_artifact(artifact_folder), Wanted("caffe"))


def test_an_unknown_precision_is_refused():
    with pytest.raises(FastDepthError, match="precision is 'int4', it can be auto, fp32"):
        Wanted(precision="int4")


@pytest.mark.parametrize(("delta1", "chosen"), [(0.7221, True), (0.7219, False), (None, False)])
def test_auto_takes_a_precision_whose_recorded_loss_is_small(with_int8, delta1, chosen):
    assert (("onnxruntime", "int8") in engines(with_int8(delta1), Wanted())) == chosen


def test_a_named_precision_is_taken_whatever_it_loses(with_int8):
    found = engines(with_int8(0.5), Wanted(precision="int8"))
    assert ("onnxruntime", "int8") in found and {precision for _, precision in found} == {"int8"}


def test_auto_never_takes_the_reference_engine(artifact_folder):
    assert "pytorch" not in {backend for backend, _ in engines(find_artifact(artifact_folder), Wanted())}


@pytest.mark.needs("openvino")
def test_before_a_measurement_int8_on_openvino_comes_first(with_int8):
    assert engines(with_int8(0.725), Wanted())[0] == ("openvino", "int8")


@pytest.mark.needs("openvino")  # whose int8 comes first
def test_an_engine_that_fails_its_golden_check_gives_way_to_the_next(with_int8):
    artifact = with_int8(0.725, depth_m=[99.0] * 196)
    choice, backend = load_chosen(artifact, Wanted())
    assert choice.precision == "fp32" and "int8" in choice.why and "golden" in choice.why
    assert backend.computes == "fp32"


def test_a_named_engine_that_fails_its_golden_check_is_refused(with_int8):
    artifact = with_int8(0.725, depth_m=[99.0] * 196)
    with pytest.raises(FastDepthError, match="golden"):
        load_chosen(artifact, Wanted("onnxruntime", precision="int8"))


def kept(artifact: Artifact, wanted: Wanted = Wanted()) -> Choice:  # noqa: B008 - frozen
    slow, fast = Choice("openvino", "fp32", 0), Choice("onnxruntime", "fp32", 1)
    return keep_choice(artifact, wanted, [Timed(slow, 1.0, 9.0), Timed(fast, 2.0, 3.0)], "2026-01-01")


def test_the_choice_with_the_fastest_slowest_tenth_is_kept(artifact_folder):
    artifact = find_artifact(artifact_folder)
    choice = kept(artifact)
    assert (choice.backend, choice.threads) == ("onnxruntime", 1)
    assert kept_choice(artifact, Wanted()) == (choice, "")
    loaded, _ = load_chosen(artifact, Wanted())
    assert (loaded.backend, loaded.threads) == ("onnxruntime", 1)
    assert "slowest tenth: 3.00; openvino fp32, all threads 9.00" in loaded.why


@pytest.mark.parametrize(("one_thread_ms", "threads"), [(2.09, 1), (2.2, 3)])
def test_threads_that_gain_nothing_are_left_to_others(one_thread_ms, threads):
    tails_ms = {("openvino", 1): one_thread_ms, ("openvino", 3): 2.05, ("openvino", 0): 2.0, ("onnxruntime", 1): 2.01}
    timed = [Timed(Choice(backend, "int8", count), 1.0, ms) for (backend, count), ms in tails_ms.items()]
    assert best_of(timed).choice == Choice("openvino", "int8", threads)


@pytest.mark.parametrize(("cores", "counts"), [(1, (0,)), (2, (1, 0)), (3, (1, 2, 0)), (8, (1, 7, 0))])
def test_one_thread_all_but_one_and_all_are_measured(cores, counts, monkeypatch):
    monkeypatch.setattr(choice_room, "available_cores", lambda: cores)
    assert thread_counts(Wanted()) == counts
    assert thread_counts(Wanted(options=BackendOptions(threads=5))) == (5,)


def test_a_kept_choice_is_of_one_set_of_limits(artifact_folder):
    artifact = find_artifact(artifact_folder)
    kept(artifact)
    assert kept_choice(artifact, Wanted(options=BackendOptions(channels="bgr"))) == (None, "")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"choice": 3}', '{"measured_for": {}, "choice": {"backend": 5}}'])
def test_a_damaged_kept_choice_is_not_believed_and_said(artifact_folder, cache, content):
    artifact = find_artifact(artifact_folder)
    kept(artifact)
    (file,) = cache.iterdir()
    file.write_text(content)
    choice, _ = load_chosen(artifact, Wanted())
    assert "is damaged" in choice.why and "shipped order" in choice.why


@pytest.mark.parametrize("part", ["processor", "engines"])
def test_a_kept_choice_of_another_machine_is_not_believed(artifact_folder, cache, part):
    artifact = find_artifact(artifact_folder)
    kept(artifact)
    (file,) = cache.iterdir()
    content = json.loads(file.read_text())
    content["measured_for"][part] = "another"
    file.write_text(json.dumps(content))
    choice, _ = load_chosen(artifact, Wanted())
    assert f"was measured with another {part}" in choice.why and "shipped order" in choice.why


def test_choose_measures_and_keeps(artifact_folder, capsys, monkeypatch):
    monkeypatch.setattr("fastdepth_ros.choice.measure.QUIET_SHARE", 10.0)  # the machine of a test is never quiet
    assert main(["choose", "--model", str(artifact_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] and {row["choice"]["backend"] for row in found["timed"]} >= {"onnxruntime"}
    best = best_of([Timed(Choice(**row.pop("choice")), **row) for row in found["timed"]]).choice
    choice, why_not = kept_choice(find_artifact(artifact_folder), Wanted())
    assert (choice.backend, choice.threads, why_not) == (best.backend, best.threads, "")


def test_choose_keeps_nothing_on_a_busy_machine(artifact_folder, capsys, monkeypatch, cache):
    monkeypatch.setattr("fastdepth_ros.choice.measure.QUIET_SHARE", -1.0)
    assert main(["choose", "--model", str(artifact_folder)]) == 1
    assert "not kept: others took" in capsys.readouterr().err and not cache.exists()


RESULT = json.dumps(
    {"timed": [{"choice": {"backend": "tvm", "precision": "fp32"}, "median_ms": 1, "slowest_tenth_ms": 2}]}
)


@pytest.mark.parametrize("more", ["an engine says goodbye", "5", "null", "[]", '{"timed": [{"ch'])
def test_the_result_of_a_measurement_is_found_among_what_engines_print(artifact_folder, monkeypatch, more):
    start, command = subprocess.Popen, [sys.executable, "-c", f"print({RESULT!r}); print({more!r})"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: start(command, **options))
    measurement = Measurement(find_artifact(artifact_folder), Wanted())
    measurement.wait()
    assert measurement.result()[0] == [Timed(Choice("tvm", "fp32"), 1, 2)]
    measurement.close()


def test_the_processor_time_of_a_measurement_is_none_of_others(artifact_folder, monkeypatch):
    class Child:
        """In place of OtherLoad: seconds of the child that it is told to leave out."""

        def __init__(self, pids):
            (self.pid,) = pids

        def cores(self):
            return process_cpu_s(self.pid)

    work = f"import time\nwhile time.process_time() < 0.5: pass\nprint({RESULT!r})"
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: start([sys.executable, "-c", work], **options))
    monkeypatch.setattr("fastdepth_ros.choice.measure.OtherLoad", Child)
    measurement = Measurement(find_artifact(artifact_folder), Wanted())
    measurement.wait()
    assert measurement.result()[1] >= 0.4
    measurement.close()


def test_figures_without_delta1_and_a_user_without_a_home_are_no_fault(with_int8, monkeypatch):
    artifact = with_int8(0.725)
    artifact.manifest["accuracy"]["mine"] = artifact.manifest["precisions"]["int8"]["accuracy"]["mine"] = {
        "rmse_m": 0.5
    }
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("os.getuid", lambda: 54321)  # known to no list of users, as in a container
    assert load_chosen(artifact, Wanted())[0].why == "shipped order"
    with pytest.raises(OSError, match="set HOME or XDG_CACHE_HOME"):
        kept(artifact)
    with pytest.raises(FastDepthError, match="no artifact at ~/mine"):
        find_artifact("~/mine")


def test_the_load_of_others_leaves_out_the_processes_that_are_named():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinner:
        everyone, others = OtherLoad(), OtherLoad([spinner.pid])
        before_s, started = process_cpu_s(spinner.pid), time.monotonic()
        time.sleep(1.0)
        spun = (process_cpu_s(spinner.pid) - before_s) / (time.monotonic() - started)
        difference = everyone.cores() - others.cores()
        spinner.kill()
    assert spun > 0 and difference == pytest.approx(spun, abs=0.1)
