"""A table of layer times answers what was measured, interpolates over channels, and refuses what it cannot know."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fastdepth_ros.bench.machine import processor_name
from fastdepth_ros.cli import main
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import NAMED, UNPRUNED, Channels, LayerShape, layer_shapes
from fastdepth_ros.prune.measure import ENGINES, engine_version, grid, measure, networks_ms_here
from fastdepth_ros.prune.resources import LatencyTable, load_table, resource

TINY = Channels((4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8), (8, 8, 8, 8, 4))


def conv(inputs: int, outputs: int, side: int = 14) -> LayerShape:
    return LayerShape("conv", inputs, side, side, outputs, 1, 1)


def table(rows: dict[LayerShape, float]) -> LatencyTable:
    return LatencyTable(rows, "a board", "an engine")


def test_what_was_measured_is_answered_as_it_was_measured():
    assert table({conv(8, 8): 1.5, conv(16, 8): 9.0}).ms(conv(8, 8)) == 1.5


def test_between_measured_channels_it_interpolates():
    rows = {conv(i, o): 0.1 + 0.001 * i * o for i in (8, 16, 32) for o in (8, 16, 32)}
    assert table(rows).ms(conv(24, 12)) == pytest.approx(0.1 + 0.001 * 24 * 12, rel=1e-6)


def test_there_is_no_step_beside_what_was_measured():
    """A measured time that no smooth fit would meet: eight filters less cost nearly as much."""
    rows = {conv(i, o): 0.5 if (i, o) == (32, 32) else 0.1 for i in (8, 16, 32) for o in (8, 16, 32)}
    assert table(rows).ms(conv(31, 32)) == pytest.approx(0.475)
    assert table(rows).ms(conv(33, 32)) == pytest.approx(0.5, rel=0.1)  # beyond them


@pytest.mark.parametrize(("few", "many"), [(0.1, 0.9), (0.3, 0.2)])
def test_fewer_channels_than_were_measured_cost_less_and_not_nothing(few, many):
    def depthwise(count: int) -> LayerShape:
        return LayerShape("depthwise", count, 14, 14, count, 3, 1)

    measured = table({depthwise(16): few, depthwise(32): many})
    assert 0 < measured.ms(depthwise(8)) <= few == measured.ms(depthwise(16))


def test_a_fit_never_says_that_more_channels_cost_less():
    rows = {conv(8, 8): 1.0, conv(16, 16): 0.9, conv(32, 32): 2.0}  # noise
    costs = [table(rows).ms(conv(count, 24)) for count in (9, 17, 25, 31)]
    assert costs == sorted(costs)


def test_a_place_that_was_not_measured_is_an_error_that_names_it():
    with pytest.raises(FastDepthError, match=r"no conv 1x1 of stride 1 at 28x28"):
        table({conv(8, 8): 1.0}).ms(conv(8, 8, side=28))


def test_a_table_survives_the_disk(tmp_path):
    whole = LatencyTable({conv(8, 8): 0.25}, "a board", "an engine", 2, 112, {"measured": 3.5})
    whole.save(tmp_path / "table.json")
    assert load_table(tmp_path / "table.json") == whole


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", ""), ("t.json", "[]"), ("t.json", '{"version": 9, "columns": []}'), ("t.csv", "a,b\n1,2\n"),
        ("t.csv", "network,kind,in_channels,in_h,in_w,out_channels,kernel,stride,ms\n"),
        ("t.csv", "network,kind,in_channels,in_h,in_w,out_channels,kernel,stride,ms\nx,conv,8,14,14,8,1,1,-1\n"),
        ("t.csv", "network,kind,in_channels,in_h,in_w,out_channels,kernel,stride,ms\nx,conv,8,14,14,8,1,1,nan\n"),
    ],
)  # fmt: skip
def test_another_file_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(FastDepthError, match=name.replace(".", r"\.")):
        load_table(tmp_path / name)
    with pytest.raises(FastDepthError, match="missing"):
        load_table(tmp_path / "missing.json")


def test_a_shape_of_two_networks_costs_the_mean_or_what_one_of_them_says(tmp_path):
    header = "network,kind,in_channels,in_h,in_w,out_channels,kernel,stride,ms\n"
    (tmp_path / "t.csv").write_text(header + "a,conv,8,14,14,8,1,1,1.0\nb,conv,8,14,14,8,1,1,2.0\n")
    assert load_table(tmp_path / "t.csv").ms(conv(8, 8)) == 1.5
    assert load_table(tmp_path / "t.csv", "b").ms(conv(8, 8)) == 2.0


@pytest.mark.shared
def test_the_authors_table_gives_the_sums_that_they_logged(shared, capsys):
    file = str(shared / "paper" / "tx2_cpu_layer_ms.csv")
    assert main(["prune", "--resource", "latency", "--table", file, "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["predicted_ms"] == {
        "unpruned": pytest.approx(44.07, abs=0.005),
        "pruned": pytest.approx(27.08, abs=0.005),
    }
    assert "whole networks" in said["note"]


@pytest.mark.shared
def test_a_prediction_between_the_authors_networks_lies_between(shared):
    latency = resource("latency", load_table(shared / "paper" / "tx2_cpu_layer_ms.csv"))
    between = Channels(
        *(tuple((one + other) // 2 for one, other in zip(*pair)) for pair in zip(*(
            (each.encoder, each.decoder) for each in NAMED.values()
        )))
    )  # fmt: skip
    low, high = sorted(latency.cost(each) for each in NAMED.values())
    assert low < latency.cost(between) < high


def test_latency_without_a_table_says_how_to_get_one():
    with pytest.raises(ValueError, match="--measure"):
        resource("latency")
    with pytest.raises(ValueError, match="there is macs, weights, latency"):
        resource("watts")


def test_the_grid_covers_every_layer_that_can_be_asked_for():
    places = {shape._replace(in_channels=0, out_channels=0) for shape in grid(UNPRUNED, 8)}
    asked = {shape._replace(in_channels=0, out_channels=0) for shape in layer_shapes(UNPRUNED, head_px=112)}
    assert places == asked


@pytest.mark.parametrize("engine", ["onnxruntime", "pytorch"])
def test_a_table_is_measured_on_a_real_engine_and_knows_it(tmp_path, engine):
    measured = measure(TINY, engine, 1, multiple=4, shares=(1.0,))
    assert measured.engine == engine_version(engine)
    assert measured.network_ms["whole network"] > 0
    assert resource("latency", measured).cost(TINY) > 0
    assert measured.head_px == 112


def test_networks_are_measured_where_the_table_was_and_nowhere_else():
    here, elsewhere = (LatencyTable({}, device, "onnxruntime 1.0", 1) for device in (processor_name(), "a board"))
    before, after = networks_ms_here(here, [TINY, TINY])
    assert before > 0 and after > 0
    assert networks_ms_here(elsewhere, [TINY]) == networks_ms_here(replace(here, engine="abacus"), [TINY]) == []


def test_an_unknown_engine_lists_the_known():
    with pytest.raises(ValueError, match=", ".join(sorted(ENGINES))):
        measure(TINY, "abacus", 1)
