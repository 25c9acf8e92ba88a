"""Charts: what is in the figures is in the picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from fastdepth_ros.view.charts import HEIGHT, MAX_POINTS, TOP, histogram, line_chart


def points(chart: str) -> list[np.ndarray]:
    """Pixels (N, 2) of each line."""
    lines = re.findall(r'<polyline class="line s\d" points="([^"]*)"', chart)
    return [np.array([pair.split(",") for pair in line.split()], float) for line in lines]


def chart_of(x: np.ndarray, **series: np.ndarray) -> str:
    return line_chart("it", {name: (x, y) for name, y in series.items()}, x_label="time [s]", y_label="<it>")


def test_of_a_long_line_no_peak_is_lost():
    y = np.ones(100_000)
    y[77_777] = 9.0
    [line] = points(chart_of(np.arange(100_000.0), it=y))
    assert len(line) <= MAX_POINTS
    assert line[:, 1].min() == TOP  # the peak is the top of the chart
    assert (np.diff(line[:, 0]) >= 0).all()


def test_what_is_unknown_breaks_a_line_and_a_lone_point_is_a_dot():
    y = np.array([1, 2, np.nan, 3, np.nan, 4, 5])
    chart = chart_of(np.arange(7.0), it=y)
    assert [len(line) for line in points(chart)] == [2, 2]
    assert chart.count("<circle") == 1


def test_a_chart_is_well_formed_and_escaped_whatever_the_figures():
    x, nothing, alone = np.arange(3.0), np.full(3, np.nan), np.array([1e-9])
    for chart in (
        chart_of(x, nothing=nothing),
        chart_of(np.zeros(1), alone=alone),
        chart_of(x, **{"<&>": np.array([-1.0, 1e9, 0.0])}),
        line_chart(
            "band", {"a": (np.arange(3.0), nothing)}, band=(np.arange(3.0), nothing, nothing), x_label="", y_label=""
        ),
        histogram("none", np.array([1.0, 2.0, 4.0]), np.zeros(2, int), x_label="m"),
    ):
        ElementTree.fromstring(chart)
        assert "nan" not in re.sub("<title>.*?</title>|aria-label", "", chart)


def test_bars_have_the_shares_of_their_bins():
    chart = histogram("it", np.array([0.5, 1.0, 2.0, 4.0]), np.array([0, 30, 10]), x_label="m")
    bars = re.findall(r'height="([\d.]+)"><title>([^<]*)', chart)
    assert [title for _, title in bars] == ["1.00 to 2.00 m: 75.0 %", "2.00 to 4.00 m: 25.0 %"]
    assert abs(float(bars[0][0]) / float(bars[1][0]) - 3.0) < 0.01
    assert max(float(height) for height, _ in bars) < HEIGHT
