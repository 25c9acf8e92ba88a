"""Weights and MACs have every digit that the paper prints, but for three rows that say why."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest
import torch

from fastdepth_ros.nn.complexity import Complexity
from fastdepth_ros.nn.paper.prior_work import PRIOR
from fastdepth_ros.nn.paper.tables import COLUMNS, DECONV_EXPLAINED, TABLES, UPCONV_EXPLAINED, Row, as_printed

FILES = {
    1: "table1_prior_work.csv",
    3: "table3_encoders.csv",
    4: "table4_decoders.csv",
    5: "table5_depthwise_skip.csv",
}
ROWS = [pytest.param(number, row, id=f"{number}-{row.name}") for number, table in TABLES.items() for row in table.rows]
DIFFERENT = {"Eigen and Fergus 2015 (VGG)", "UpConv", "DeConv5"}


@cache
def counted(number: int, name: str) -> Complexity:
    return row_of(number, name).count()


def row_of(number: int, name: str) -> Row:
    return next(row for row in TABLES[number].rows if row.name == name)


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_a_row_has_the_papers_digits_or_says_why_not(number, row):
    count = counted(number, row.name)
    assert row.agrees(count) == (row.name not in DIFFERENT)
    assert bool(row.explained) == (row.name in DIFFERENT)
    if "weights_m" in row.paper:
        assert as_printed(count.weights / 1e6, row.paper["weights_m"]) == row.paper["weights_m"]
    if number == 1 and row.agrees(count):
        assert count.macs / 1e9 == pytest.approx(float(row.paper["macs_g"]), rel=0.05)


@pytest.mark.parametrize(
    ("number", "name", "weights", "macs"),
    [
        (3, "MobileNet", 3_185_088, 567_716_352),
        (4, "UpConv", 17_459_232, 12_846_661_632),
        (4, "DeConv5", 17_459_232, 3_212_869_632),
        (4, "NNConv5", 17_459_232, 3_212_869_632),
        (5, "depthwise and skip-add", 3_933_088, 736_658_944),
        (7, "after pruning", 1_343_664, 366_393_384),
    ],
)
def test_counts_known_from_elsewhere(number, name, weights, macs):
    count = counted(number, name)
    assert (count.weights, count.macs) == (weights, macs)


def test_the_appended_1x1_is_what_makes_the_resnets_agree():
    """Neither the bare trunk nor the classifier with its fc has the paper's MACs."""
    for name, channels, classes in (("ResNet-50", 2048, 1000), ("ResNet-18", 512, 1000)):
        row = row_of(3, name)
        with_1x1 = counted(3, name).macs
        trunk = with_1x1 - channels * 1024 * 7 * 7
        for other in (trunk, trunk + channels * classes):
            assert as_printed(other / 1e9, row.paper["macs_g"]) != row.paper["macs_g"]


def test_the_formulas_of_table_4_are_right():
    layers = [(1024 >> layer, 512 >> layer, 7 << layer) for layer in range(5)]  # in, out, side of the input
    head = 32 * 224 * 224
    at_output = 25 * sum(inputs * outputs * (2 * side) ** 2 for inputs, outputs, side in layers) + head
    at_input = 25 * sum(inputs * outputs * side**2 for inputs, outputs, side in layers) + head
    zeros = 4 * sum(inputs * side**2 for inputs, _, side in layers)
    assert at_output == 25 * 5 * 1024 * 512 * 14 * 14 + head == counted(4, "UpConv").macs
    assert at_input == 25 * 5 * 1024 * 512 * 7 * 7 + head == counted(4, "DeConv5").macs
    assert zeros == 4 * 31 * 1024 * 7 * 7
    for number in (at_output, head, zeros, at_output + zeros):
        assert f"{number:,}" in UPCONV_EXPLAINED
    for number in (at_input, head, at_output):
        assert f"{number:,}" in DECONV_EXPLAINED
    assert f"{(at_output + zeros) / 1e9:.1f}" == "12.9"
    assert f"{(counted(4, 'UpProj').macs + zeros) / 1e9:.1f}" == "28.0"


def test_pruning_reduces_by_the_papers_factors():
    table = TABLES[7]
    before, after = (counted(7, row.name) for row in table.rows)
    assert as_printed(before.weights / after.weights, "2.9") == table.reductions["weights_m"] == "2.9"
    assert as_printed(before.macs / after.macs, "2.0") == table.reductions["macs_g"] == "2.0"


def test_only_prior_work_is_marked_as_random_and_all_of_it_is_in_table_1():
    marked = [row for table in TABLES.values() for row in table.rows if row.random_weights]
    assert marked == list(TABLES[1].rows[:-1])
    with torch.device("meta"):
        built = [row.build() for row in marked]
    assert [type(network) for network in built] == [PRIOR[name] for name in PRIOR.names()]
    assert [network.input_px for network in built] == [row.size_px for row in marked]


@pytest.mark.shared
@pytest.mark.parametrize("number", FILES)
def test_the_figures_are_those_of_the_shared_files(shared: Path, number):
    with (shared / "paper" / FILES[number]).open(newline="") as lines:
        expected = list(csv.reader(lines))[1:]
    found = []
    for row in TABLES[number].rows:
        size = [str(side) for side in row.size_px] if number == 1 else []
        found.append([row.name, *size, *(row.paper[column] for column in COLUMNS if column in row.paper)])
    assert found == expected


@pytest.mark.shared
def test_the_figures_of_table_7_are_those_of_the_shared_file(shared: Path):
    with (shared / "paper" / "table7_pruning.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for column, row in zip(("before", "after"), TABLES[7].rows):
        assert row.paper == {figures["quantity"]: figures[column] for figures in rows}
    reductions = {row["quantity"]: row["reduction"] for row in rows}
    assert TABLES[7].reductions == {column: reductions[column] for column in ("weights_m", "macs_g")}
