"""Training loss of runs that went on from each other, as one picture.

Usage: python models/learning_curves.py PNG RUN...
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from fastdepth_ros.pictures.image_files import write_figure


def main(out: Path, runs: list[Path]) -> None:
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="training samples, thousands", ylabel="mean training loss of an epoch")
    seen = 0
    for run in runs:
        told = json.loads((run / "run.json").read_text())
        recipe, (own, *others) = told["recipe"], told["pairs"]
        samples = (own * recipe["repeat"] + sum(others)) // recipe["batch"] * recipe["batch"]  # of an epoch
        with (run / "log.csv").open(newline="") as lines:
            loss = [float(row["loss"]) for row in csv.DictReader(lines)]
        ends = [(seen + samples * (epoch + 1)) / 1000 for epoch in range(len(loss))]
        axes.plot(ends, loss, marker=".", label=f"{run.name}: {recipe['name']}, {len(loss)} epochs")
        seen += samples * len(loss)
    axes.grid(alpha=0.3)
    axes.legend()
    write_figure(out, figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(run) for run in sys.argv[2:]])
