"""`fastdepth bench`: a real run of a small model, and what its report says."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
import onnxruntime
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from fastdepth_ros.bench import plots
from fastdepth_ros.bench.paper_subjects import cut, plan_halves
from fastdepth_ros.bench.plan import Request, plan_engines
from fastdepth_ros.bench.report import comparison, write_report
from fastdepth_ros.bench.results import caveats, changes
from fastdepth_ros.bench.run import summary
from fastdepth_ros.cli import main
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.paper.peers import PEERS

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["--quick", "--no-node", "--threads", "1", "--rounds", "2", "--frames", "2", "--backends", "onnxruntime"]


@pytest.fixture(scope="module")
def run_folder(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    assert main(["bench", *ARGUMENTS, "--models", str(artifact_folder), "--out", str(out), "--power-mode", "MAXQ"]) == 0
    return out


def rows_of(out: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((out / "bench.json").read_text())["rows"]}


def test_engines_halves_and_eager_torch_are_in_one_run(run_folder):
    rows = rows_of(run_folder)
    assert set(rows) == {
        "tiny/onnxruntime/fp32/1", "tiny/torch eager/fp32/1",
        "half/tiny/encoder", "half/tiny/decoder", "half/tiny/whole",
    }  # fmt: skip
    for row in rows.values():
        assert row["runs"] == 4 and len(row["rounds_ms"]) == 2
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["cpu_ms"] > 0 and row["memory_mb"] > 10
    engine = rows["tiny/onnxruntime/fp32/1"]
    assert engine["engine"].startswith("onnxruntime ")
    assert engine["ratio"] == pytest.approx(engine["median_ms"] / engine["floor_ms"])
    peak = json.loads((run_folder / "bench.json").read_text())["peaks"][0]["peak_gflops"]
    assert engine["floor_ms"] == pytest.approx(2 * engine["macs"] / peak / 1e6)


@pytest.fixture(scope="module")
def speed_tables():
    spec = importlib.util.spec_from_file_location("speed_tables", ROOT / "models" / "speed_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_have_a_place_for_each_table_that_is_measured(speed_tables):
    source = (ROOT / "models" / "speed_tables.py").read_text()
    names = re.findall(r'written\([^"]*"(\w+)"', source)
    assert sorted(names) == ["figures", "layers", "precisions"]
    pages = speed_tables.SPEED.read_text() + speed_tables.BENCHMARK.read_text()
    for name in names:
        once = speed_tables.written(pages, name, "alpha")
        assert "alpha" in once and speed_tables.written(once, name, "beta") == once.replace("alpha", "beta")
    with pytest.raises(SystemExit, match="no line"):
        speed_tables.written(pages, "another", "")


def test_a_page_gets_the_figures_of_the_report_and_of_the_layers(run_folder, speed_tables):
    text = speed_tables.sections((run_folder / "bench.md").read_text())
    assert "### Latency" in text and "| tiny | onnxruntime | fp32 | 1 |" in text and "\n## " not in text
    rows = [row for row in rows_of(run_folder).values() if row["group"] == "engine"]
    assert re.search(r"\| `fp32` \| \d+\.\d\d \|", speed_tables.precision_table(speed_tables.find_artifact(), rows))
    layers = speed_tables.layer_table(speed_tables.find_artifact(), calls=2)
    assert re.search(r"convolutions in int8 \| 0\.00 \| \d", layers) and "| all |" in layers


def test_json_prints_what_the_file_holds(run_folder, tmp_path, capsys, monkeypatch):
    results = json.loads((run_folder / "bench.json").read_text())
    monkeypatch.setattr("fastdepth_ros.bench.run.run_bench", lambda *_, **__: results)
    assert main(["bench", "--json", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "bench.json").read_text())


def test_the_filter_over_time_lessens_the_flicker(run_folder):
    plain, filtered = json.loads((run_folder / "bench.json").read_text())["flicker"]
    assert plain["temporal_filter"] == 0 and plain["std_m"] > filtered["std_m"] > 0


def test_the_report_shows_them_and_its_picture_is_one(run_folder):
    text = (run_folder / "bench.md").read_text()
    for part in (
        "## Latency",
        "| tiny | onnxruntime | fp32 | 1 |",
        "## Flicker",
        "## Encoder and decoder",
        "power mode MAXQ",
        "fig3.png",
    ):
        assert part in text
    assert "fig1.png" not in text and not (run_folder / "fig1.png").exists()  # its accuracy is not known
    picture = cv2.imread(str(run_folder / "fig3.png"))
    assert picture is not None and picture.std() > 5


def test_a_comparison_names_what_changed_and_what_is_noise(run_folder, tmp_path):
    now = json.loads((run_folder / "bench.json").read_text())
    before = json.loads((run_folder / "bench.json").read_text())
    for results, rounds_ms in ((before, [10.0, 10.1, 9.9]), (now, [12.0, 12.1, 11.9])):
        for row in results["rows"]:
            row["rounds_ms"], row["median_ms"] = rounds_ms, rounds_ms[0]
    now["rows"][1]["median_ms"] = 10.1
    first, second, *_ = changes(before, now)
    assert (first.verdict, second.verdict) == ("slower", "within noise")
    assert first.times_noise == pytest.approx(2.0 / np.sqrt(2 * 0.01 / 3))
    for row in now["rows"]:
        row["rounds_ms"] = [12.0]
    assert changes(before, now)[0].verdict == "of unknown noise"
    assert caveats(before, now) == []
    now["machine"]["processor"], now["peaks"][0]["peak_gflops"] = "another", 1.0
    told = caveats(before, now)
    assert "another processor" in told[0] and "another peak" in told[1]
    write_report(tmp_path / "r.md", now, [], comparison([first, second], told, "old.json"))
    assert "| +20.0% |" in (tmp_path / "r.md").read_text()


def test_a_foreign_file_to_compare_is_refused_before_anything_is_measured(tmp_path, capsys):
    (tmp_path / "old.json").write_text("{}")
    assert main(["bench", "--compare", str(tmp_path / "old.json"), "--out", str(tmp_path / "out")]) == 1
    assert "old.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_busy_neighbor_is_a_row_beside_the_quiet_one(artifact_folder):
    request = Request([str(artifact_folder)], ["onnxruntime"], [1], beside_busy=True)
    quiet, busy = (one for one in plan_engines(request).subjects if "group" in one.facts)
    assert busy.beside_busy and not quiet.beside_busy
    assert busy.facts["quiet"] == quiet.name and busy.load == quiet.load


def test_labels_of_equal_speed_cover_neither_each_other_nor_a_point():
    figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
    axis = figure.add_subplot()
    axis.scatter((100, 500), (0.6, 0.8))
    labels = [plots._tell(axis, 373 + shift, 0.725, "model\nengine, 373 fps", "red") for shift in (0, 1, 2)]
    plots._move_apart(figure, axis, labels)
    boxes = [Text.get_window_extent(label) for label in labels]
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    stars = axis.transData.transform([label.xy for label in labels])
    assert not any(box.contains(x, y) for box in boxes for x, y in stars)


def test_the_summary_tells_the_median_of_the_starts():
    starts = [{"backend": "auto", "first_depth_s": [0.5, 2.7, 0.6]}]
    told = summary({"machine": {"processor": "P"}, "rows": [], "node": [], "start": starts, "notes": [], "failed": {}})
    assert "first depth of auto: 0.60 s" in told


def test_an_unknown_model_or_backend_is_named(tmp_path, capsys):
    assert main(["bench", "--models", "./none", "--out", str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err
    assert main(["bench", "--backends", "none", "--out", str(tmp_path)]) == 1
    assert "unknown backend 'none'" in capsys.readouterr().err


def test_what_has_no_file_for_a_backend_is_left_out_and_told(artifact_folder):
    plan = plan_engines(Request([str(artifact_folder)], ["onnxruntime", "tvm"], [1], ["fp32", "int8"]))
    assert [subject.name for subject in plan.subjects if "group" in subject.facts] == ["tiny/onnxruntime/fp32/1"]
    assert plan.notes == [
        "tiny has no tvm file of fp32 for backend tvm",
        "tiny has no file of int8: fastdepth quantize makes one",
        "tiny has no onnx file of int8 for backend onnxruntime",
        "tiny has no tvm file of int8 for backend tvm",
    ]


def test_of_several_models_each_has_its_own_halves(artifact_folder, tmp_path):
    other = shutil.copytree(artifact_folder, tmp_path / "other")
    request = Request([str(artifact_folder), str(other)], ["onnxruntime"], [1])
    for plan in (plan_engines, partial(plan_halves, folder=tmp_path, steps=False)):
        with pytest.raises(FastDepthError, match="all are called tiny"):
            plan(request)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "name": "other"}))
    halves = plan_halves(request, tmp_path, steps=False).subjects
    assert [subject.name for subject in halves] == [
        f"half/{model}/{part}" for model in ("tiny", "other") for part in ("encoder", "decoder", "whole")
    ]
    assert len({subject.load.args[0] for subject in halves}) == 6


def test_the_halves_together_compute_what_the_whole_does(artifact_folder, tmp_path):
    whole = artifact_folder / "model.onnx"
    encoder, decoder = (onnxruntime.InferenceSession(str(path)) for path in cut(whole, tmp_path, "tiny"))
    rgb = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    maps = dict(zip((entry.name for entry in encoder.get_outputs()), encoder.run(None, {"rgb": rgb})))
    assert len(maps) == 4 and set(maps) == {entry.name for entry in decoder.get_inputs()}
    (expected,) = onnxruntime.InferenceSession(str(whole)).run(None, {"rgb": rgb})
    np.testing.assert_allclose(decoder.run(None, maps)[0], expected, atol=1e-5)


def test_a_network_without_names_is_not_cut(artifact_folder, tmp_path):
    import onnx

    model = onnx.load(artifact_folder / "model.onnx")
    for number, node in enumerate(model.graph.node):
        node.name = f"node{number}"
    onnx.save(model, tmp_path / "nameless.onnx")
    with pytest.raises(FastDepthError, match="named"):
        cut(tmp_path / "nameless.onnx", tmp_path, "nameless")


@pytest.mark.parametrize(("name", "weights_m", "macs_g"), [
    ("midas-small-like", 16.6, 4.6), ("depth-anything-v2-small-like-252", 24.8, 9.6),
    ("depth-anything-v2-small-like-518", 24.8, 40.3),
])  # fmt: skip
def test_peers_have_the_size_of_what_they_stand_for(name, weights_m, macs_g):
    with torch.device("meta"):
        network = PEERS[name]()
        depth = network(torch.empty(1, 3, network.size_px, network.size_px))
    assert depth.shape == (1, 1, network.size_px, network.size_px)
    assert sum(each.numel() for each in network.parameters()) / 1e6 == pytest.approx(weights_m, rel=0.03)
    assert complexity(network, network.size_px)["total"].macs / 1e9 == pytest.approx(macs_g, rel=0.03)
