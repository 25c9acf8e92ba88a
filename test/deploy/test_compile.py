"""`fastdepth compile`: an artifact that computes the network, says what it is for, and is never half written."""

from __future__ import annotations

import json
import re
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

pytest.importorskip("tvm", reason="tvm is not installed")

import tvm
from networks import fastdepth

from fastdepth_ros.artifact.artifact import find_artifact, sha256_of
from fastdepth_ros.artifact.record import require_agreement
from fastdepth_ros.backends import BackendOptions, ModelFile, Outputs, backend_class
from fastdepth_ros.backends.tvm import installed_versions
from fastdepth_ros.cli import main
from fastdepth_ros.deploy import compile as compile_module
from fastdepth_ros.deploy import module
from fastdepth_ros.deploy.compile import compile_artifact, tuned_tiles, write_library
from fastdepth_ros.deploy.export import write_onnx
from fastdepth_ros.deploy.module import kernels
from fastdepth_ros.deploy.records import Trial, open_records, read_records, records_path
from fastdepth_ros.deploy.schedules import schedule, tiles
from fastdepth_ros.deploy.steps import read_plan
from fastdepth_ros.deploy.targets import NAMED, find_target
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import available_cores
from fastdepth_ros.nn.encoders import MobileNet
from fastdepth_ros.nn.network import DepthNetwork

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

ROOT = Path(__file__).resolve().parents[2]
HOST = find_target("host")
ENCODER, WIDTHS = (4, 6, 5, 7, 5, 8, 6, 5, 4, 5, 6, 7, 8, 9), (7, 8, 7, 6, 4)


def guesses(source: Path) -> dict[str, Trial]:
    """A trial of every kernel's last tile, as tuning would leave it."""
    plan = read_plan(find_artifact(source).model_file("onnx").path)
    hardware = HOST.hardware
    return {
        name: Trial(name, tiles(step, hardware.lanes, hardware.registers)[-1], 0.5)
        for name, step in kernels(plan).items()
    }


@pytest.fixture
def tuned(artifact_folder, tmp_path) -> Path:
    """A folder of records for the tiny network on this machine."""
    trials = guesses(artifact_folder)
    records = open_records(records_path(tmp_path / "db", HOST), HOST, trials)
    for trial in trials.values():
        records.add(trial)
    return tmp_path / "db"


def test_the_manifest_says_what_the_module_is_for(artifact_folder, compiled_folder):
    source, manifest = find_artifact(artifact_folder).manifest, find_artifact(compiled_folder).manifest
    entry = manifest["files"]["tvm"]
    assert (entry["target"], entry["machine"], entry["device"]) == (HOST.name, HOST.machine, "cpu")
    assert entry["tvm"].startswith(tvm.__version__.partition("+")[0])
    assert entry["tuned"] == 0
    assert entry["kernels"] == len(guesses(artifact_folder))
    for key in ("golden", "channels", "input", "outputs", "focal"):
        assert manifest[key] == source[key]
    assert manifest["compiled_from"] == "tiny"
    assert sorted(path.name for path in compiled_folder.iterdir()) == ["manifest.json", "model.so"]


def test_tiles_of_tuning_are_used_and_compute_the_same(artifact_folder, tuned, tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(module, "schedule", lambda *given: (used.append(given[-1]), schedule(*given))[1])
    compiled = compile_artifact(find_artifact(artifact_folder), HOST, tmp_path / "out", tuned)
    assert used == [trial.tile for trial in guesses(artifact_folder).values()]
    assert compiled.untuned == 0
    assert compiled.off_m is not None and compiled.off_m <= 1e-4


def test_standard_kernels_compile_too(tmp_path):
    network = DepthNetwork(MobileNet(ENCODER), kernel="standard", skip="add", widths=WIDTHS).eval()
    with torch.no_grad():
        network.head.get_parameter("bias").fill_(1.5)
    write_onnx(network, tmp_path / "model.onnx")
    write_library(read_plan(tmp_path / "model.onnx"), HOST, {}, tmp_path / "model.so")
    facts = {**installed_versions(), "device": "cpu", "cpu_features": []}
    engine = backend_class("tvm")(ModelFile(tmp_path / "model.so", (224, 224), facts=facts), BackendOptions())
    reference = backend_class("onnxruntime")(ModelFile(tmp_path / "model.onnx", (224, 224), 17), BackendOptions())
    rgb = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.testing.assert_allclose(engine.infer(rgb).depth, reference.infer(rgb).depth, atol=1e-4)


def test_records_of_another_network_are_refused(tuned, tmp_path, capsys):
    assert main(["compile", "--tuning", str(tuned), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "was tuned for another network" in said
    assert str(tuned) in said
    assert not (tmp_path / "out").exists()


def test_records_of_another_target_are_refused(artifact_folder, tuned):
    path = records_path(tuned, HOST)
    path.write_text(path.read_text().replace(HOST.words["mcpu"], "i386", 1))
    with pytest.raises(FastDepthError, match="another target"):
        read_records(path, HOST, guesses(artifact_folder))


@pytest.mark.parametrize("content", ["", "no JSON\n", '{"kernels": []}\n{"kernel": 3}\n', "[]\n", "\x00\xff\n"])
def test_a_file_that_holds_no_records_is_named(artifact_folder, tuned, content):
    path = records_path(tuned, HOST)
    path.write_text(content)
    with pytest.raises(FastDepthError, match=re.escape(str(path))):
        read_records(path, HOST, guesses(artifact_folder))


def test_a_folder_without_records_for_the_target_is_refused(artifact_folder, tmp_path):
    plan = read_plan(find_artifact(artifact_folder).model_file("onnx").path)
    with pytest.raises(FastDepthError, match=f"no records for {HOST.name}"):
        tuned_tiles(plan, HOST, artifact_folder, tmp_path)


def test_the_default_model_is_tuned_for_avx2_and_avx512_for_any_weights():
    source = find_artifact()
    plan = read_plan(source.model_file("onnx").path)
    for name in ("x86-64-v3", "x86-64-v4"):
        target = find_target(name)
        assert set(tuned_tiles(plan, target, source.folder, None)) == set(kernels(plan))
        assert records_path(source.folder, target).stat().st_size < 20_000


def test_what_is_not_tuned_is_said_with_the_command_that_tunes(artifact_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compile_module, "write_library", lambda *rest: rest[-1].write_bytes(b"\x7fELF"))
    monkeypatch.setattr(compile_module, "_compare", lambda *rest: 0.0)
    assert main(["compile", "--model", str(artifact_folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "agrees with ONNX Runtime to 0.0e+00 m" in said.out
    assert re.search(r"(\d+) of \1 kernels are not tuned", said.err)
    assert f"fastdepth tune --model {artifact_folder} --target host --db DB" in said.err


def test_an_output_that_exists_is_refused_and_left_alone(artifact_folder, tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(FileExistsError, match="exists"):
        compile_artifact(find_artifact(artifact_folder), HOST, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_linker_that_is_missing_is_named_and_nothing_is_left(artifact_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FastDepthError, match="apt install g"):
        compile_artifact(find_artifact(artifact_folder), find_target("tx2-cpu"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_code_that_gives_nan_on_one_frame_is_refused(artifact_folder, compiled_folder, monkeypatch):
    engines = [find_artifact(artifact_folder).load(), find_artifact(compiled_folder).load("tvm")]
    assert require_agreement(*engines, fastdepth(), "TVM differs") <= 1e-4
    honest, calls = engines[1].infer, count()
    monkeypatch.setattr(engines[1], "infer", lambda rgb: Outputs(honest(rgb).depth * (np.nan if next(calls) else 1)))
    with pytest.raises(FastDepthError, match="TVM differs by nan m"):
        require_agreement(*engines, fastdepth(), "TVM differs")


def test_code_that_computes_something_else_is_refused_and_nothing_is_left(
    artifact_folder, compiled_folder, tmp_path, monkeypatch
):
    source = shutil.copytree(artifact_folder, tmp_path / "source")
    model = onnx.load(source / "model.onnx")
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith("head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(5e-4), bias.name))
    onnx.save(model, source / "model.onnx")  # by less than the golden frame's tolerance
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["files"]["onnx"]["sha256"] = sha256_of(source / "model.onnx")
    (source / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(
        compile_module, "write_library", lambda *rest: shutil.copy(compiled_folder / "model.so", rest[-1])
    )
    with pytest.raises(FastDepthError, match="differs from ONNX Runtime"):
        compile_artifact(find_artifact(source), HOST, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_target_by_a_file_of_tvms_words(tmp_path):
    path = tmp_path / "robot.json"
    path.write_text(json.dumps({"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "skylake-avx512"}))
    target = find_target(str(path))
    assert (target.name, target.hardware.lanes, target.machine) == ("robot", 16, "x86_64")
    assert {"avx512f", "avx512vl", "fma"} <= set(target.cpu_features)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kind": "abacus"}', '{"kind": "nvptx", "host": 3}', '{"kind": "llvm", "beads": 7}']
)
def test_a_file_that_is_no_target_is_named(tmp_path, content):
    (tmp_path / "robot.json").write_text(content)
    with pytest.raises(FastDepthError, match=r"robot.json"):
        find_target(str(tmp_path / "robot.json"))


def test_an_unknown_target_lists_what_there_is():
    with pytest.raises(FastDepthError, match="tx2-cpu, tx2-gpu, cuda"):
        find_target("tx3")


@pytest.mark.parametrize("name", NAMED)
def test_every_named_target_is_understood(name):
    target = find_target(name)
    assert target.target().kind.name in ("llvm", "nvptx")
    assert target.device == ("cuda" if "gpu" in name or name == "cuda" else "cpu")


def test_code_for_the_tx2s_gpu_is_ptx_that_its_driver_reads(artifact_folder, tmp_path):
    (tmp_path / "sm_62.json").write_text('{"kind": "nvptx", "mcpu": "sm_62"}')  # its host is this machine
    compile_artifact(find_artifact(artifact_folder), find_target(str(tmp_path / "sm_62.json")), tmp_path / "out")
    library = (tmp_path / "out" / "model.so").read_bytes()
    versions = re.findall(rb"\.version (\d+)\.(\d+)", library)
    assert versions
    assert all((int(major), int(minor)) <= (6, 5) for major, minor in versions)
    assert set(re.findall(rb"\.target (\w+)", library)) == {b"sm_62"}
    assert b"__global__" not in library  # no source
    assert library.count(b".visible .entry") == find_artifact(tmp_path / "out").manifest["files"]["tvm"]["kernels"] + 1
    assert b".extern" not in library


def test_the_gpus_kernels_run_and_agree(artifact_folder, tmp_path):
    if not tvm.cuda().exist:
        pytest.skip("no GPU of NVIDIA is here")
    compile_artifact(find_artifact(artifact_folder), find_target("cuda"), tmp_path / "out")
    engine = find_artifact(tmp_path / "out").load("tvm", BackendOptions(device="cuda"))
    rgb = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        engine.infer(rgb).depth, find_artifact(artifact_folder).load().infer(rgb).depth, atol=1e-3
    )


def test_there_is_at_least_one_core():
    assert 1 <= available_cores() <= 1024
