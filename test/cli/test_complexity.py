"""`fastdepth complexity` as a user runs it."""

from __future__ import annotations

import contextlib
import io
import json
from functools import cache
from typing import Any

import pytest

from fastdepth_ros.cli import main

pytest.importorskip("torch", reason="torch is not installed")

TABLES = {1: 7, 3: 3, 4: 4, 5: 4, 7: 2}  # number of rows
EXPLAINED = {1: ["Eigen and Fergus 2015 (VGG)"], 4: ["UpConv", "DeConv5"]}


def output(*arguments: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["complexity", *arguments]) == 0
    return printed.getvalue()


@cache
def as_json(number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output("--table", str(number), "--json"))
    return found


@cache
def as_text(number: int) -> str:
    return output("--table", str(number))


@pytest.mark.parametrize("number", [number for number in TABLES if number != 1])  # whose rows are counted in test/nn
def test_a_table_as_json_has_whole_numbers_in_the_papers_order(number):
    found = as_json(number)
    rows = found["rows"]
    assert found["table"] == number
    assert len(rows) == TABLES[number]
    assert all(type(row["weights"]) is int and type(row["macs"]) is int for row in rows)
    assert all(row["paper"]["macs_g"] > 0 for row in rows)
    assert [row["name"] for row in rows if not row["agrees"]] == EXPLAINED.get(number, [])
    assert [row["name"] for row in rows if row["explained"]] == EXPLAINED.get(number, [])


def test_table_3_as_json():
    rows = as_json(3)["rows"]
    assert [(row["name"], row["weights"], row["macs"]) for row in rows] == [
        ("ResNet-50", 25_552_064, 4_189_896_704),
        ("ResNet-18", 11_691_200, 1_839_251_456),
        ("MobileNet", 3_185_088, 567_716_352),
    ]
    assert rows[0]["paper"] == {
        "weights_m": 25.6, "macs_g": 4.19, "rmse_m": 0.568, "delta1": 0.8, "tx2_cpu_ms": 610, "tx2_gpu_ms": 35
    }  # fmt: skip


@pytest.mark.parametrize("number", [4, 7])  # with notes and without; the others' figures are in their JSON
def test_a_text_table_has_the_papers_figures_and_a_note_where_rows_differ(number):
    text = as_text(number)
    assert max(len(line) for line in text.splitlines()) <= 120
    for index, name in enumerate(EXPLAINED.get(number, []), start=1):
        row = next(line for line in text.splitlines() if line.startswith(name))
        assert row.endswith(f"differs [{index}]")
        assert f"\n[{index}] {name}: " in text
    assert text.count("differs") == len(EXPLAINED.get(number, []))


def test_table_5_as_text():
    lines = as_text(5).splitlines()
    assert any(
        line.split() == ["standard", "decoder", "224x224", "20,644,320", "20.6", "M", "3,780,585,984", "3.78", "G"]
        for line in lines
    )


def test_table_7_has_the_reduction():
    assert as_text(7).splitlines()[-1].split() == ["reduction", "2.9x", "2.9x", "2.0x", "2.0x"]
    found = as_json(7)["reductions"]
    assert found["weights_m"] == pytest.approx(2.927, abs=1e-3)
    assert found["paper"] == {"weights_m": 2.9, "macs_g": 2.0}


def test_prior_work_is_marked_as_random():
    rows = as_json(1)["rows"]
    assert [row["random_weights"] for row in rows] == [True] * 6 + [False]
    assert "random" in as_text(1)


def test_a_table_that_is_not_there_lists_those_that_are(capsys):
    with pytest.raises(SystemExit):
        main(["complexity", "--table", "2"])
    assert "choose from 1, 3, 4, 5, 7" in capsys.readouterr().err.replace("'", "")


def test_channels_are_counted_as_before():
    found = json.loads(output("--channels", "unpruned", "--json"))
    assert (found["weights"], found["macs"]) == (3_933_088, 736_658_944)
    assert list(found["parts"]) == ["encoder", "decoder", "head"]
    assert ["total", "1,343,664", "366,393,384"] in [line.split() for line in output().splitlines()]
