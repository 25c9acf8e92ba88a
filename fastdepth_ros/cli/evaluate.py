"""`fastdepth evaluate`: accuracy on a data set."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fastdepth_ros.artifact.artifact import Artifact, find_artifacts, write_manifest
from fastdepth_ros.backends import Backend
from fastdepth_ros.cli.options import add_model_options, backend_options, load_model, tell_notes
from fastdepth_ros.data.datasets import DATASETS, Dataset, open_dataset
from fastdepth_ros.jobs.atomic_io import whole_file
from fastdepth_ros.metrics.depth import NAMES, NEAR_M
from fastdepth_ros.pictures.image_files import write_picture
from fastdepth_ros.pictures.panel import panel
from fastdepth_ros.train.evaluation import (
    PROTOCOLS,
    ImageErrors,
    comparison_row,
    evaluate,
    mean_figures,
    pooled_figures,
)

PANEL_ROWS, WORST = 6, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--dataset", required=True, help=f"data set to evaluate on: {', '.join(sorted(DATASETS))}")
    parser.add_argument("--root", required=True, type=Path, help="folder of the data set")
    parser.add_argument("--split", default="test", help="split of the data set: test, train, ...")
    parser.add_argument(
        "--preprocess", choices=PROTOCOLS, default="authors",
        help="authors: two nearest-neighbor resizes, as in the paper's code; node: one bilinear",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--record", action="store_true", help="write the figures into the manifest of the artifact")
    parser.add_argument("--per-image", type=Path, metavar="CSV", help="CSV file for the errors of each image")
    parser.add_argument(
        "--panel", type=Path, metavar="PNG", help="picture of frames, truth, depth, error (the paper's Fig. 4)"
    )
    parser.add_argument("--worst", type=Path, metavar="PNG", help=f"picture of the {WORST} images of largest RMSE")
    parser.add_argument("--beside", nargs="+", default=[], metavar="MODEL", help="further models for the pictures")


def run(parsed: argparse.Namespace) -> None:
    dataset = open_dataset(parsed.dataset, parsed.root, parsed.split)
    tell_notes(dataset)
    artifact, backend = load_model(parsed)
    others = find_artifacts([artifact.folder, *parsed.beside])[1:]
    protocol = PROTOCOLS[parsed.preprocess]
    images = evaluate(backend, dataset, protocol, artifact.input_size_px, artifact.trained_focal)
    rows = list(tqdm(images, total=len(dataset), unit="image"))
    figures, pooled = mean_figures(rows), pooled_figures(rows)
    if parsed.record:
        record(artifact, parsed.precision, f"{parsed.dataset}/{parsed.split}/{parsed.preprocess}", figures)
    focal_scale, unmeasured = float(np.median([row.focal_scale for row in rows])), len(dataset) - len(rows)
    if parsed.json:
        print(json.dumps({**figures, "focal_scale": focal_scale, "unmeasured": unmeasured, "pooled": pooled}))
    else:
        print(f"{artifact.name} on {backend.engine}, {parsed.preprocess} preprocessing, {figures['images']} images:")
        for title, values in (("mean over images", figures), ("pooled over pixels", pooled)):
            print(f"  {title:<19}" + "  ".join(f"{name} {values[name]:.3f}" for name in NAMES))
        print(_others(figures, pooled, focal_scale, unmeasured))
    if parsed.per_image:
        _write_table(parsed.per_image, rows)
    if parsed.panel or parsed.worst:
        models = {other.name: other.load(parsed.backend, backend_options(parsed)) for other in others}
        _draw(parsed, dataset, rows, {**models, artifact.name: backend}, artifact.input_size_px)


def _others(figures: dict[str, float], pooled: dict[str, float], focal_scale: float, unmeasured: int) -> str:
    lines = [
        f"  focal scale {focal_scale:.3f}; with each image's median brought to the truth's: "
        f"delta1 {figures['delta1_median_scaled']:.3f}  rmse {figures['rmse_median_scaled']:.3f}"
    ]
    if "delta1_near" in figures:
        mean, all_pixels = figures["delta1_near"], pooled["delta1_near"]
        lines.append(f"  truth under {NEAR_M} m: delta1 {mean:.3f} as mean over images, {all_pixels:.3f} over pixels")
    if unmeasured:
        lines.append(f"  {unmeasured} images without a truth in the network's view are left out")
    return "\n".join(lines)


def record(artifact: Artifact, precision: str, key: str, figures: dict[str, float]) -> None:
    """Write the accuracy of one precision into the artifact's manifest."""
    facts = artifact.facts(precision)
    rounded = {name: round(value, 4) for name, value in figures.items()}
    facts = {**facts, "accuracy": {**facts.get("accuracy", {}), key: rounded}}
    if precision != "fp32":
        facts = {**artifact.manifest, "precisions": {**artifact.manifest["precisions"], precision: facts}}
    write_manifest(artifact.folder, facts)


def _write_table(path: Path, rows: list[ImageErrors]) -> None:
    with whole_file(path) as partial, partial.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["name", "pixels", *NAMES, "delta1_median_scaled", "delta1_near"])
        table.writerows(
            [row.name, row.pixels, *(row.errors[name] for name in NAMES), row.median_scaled["delta1"], row.near]
            for row in rows
        )


def _draw(
    parsed: argparse.Namespace, dataset: Dataset, rows: list[ImageErrors], models: dict[str, Backend], size_px: int
) -> None:
    spread = [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, PANEL_ROWS).astype(int))]
    worst = sorted(rows, key=lambda row: row.errors["rmse"], reverse=True)[:WORST]
    for path, chosen in ((parsed.panel, spread), (parsed.worst, worst)):
        if path:
            pictures = [
                comparison_row(
                    models, dataset[row.index], PROTOCOLS[parsed.preprocess], size_px,
                    f"{row.name}: RMSE {row.errors['rmse']:.2f} m, delta1 {row.errors['delta1']:.2f}",
                    row.focal_scale,
                )
                for row in chosen
            ]  # fmt: skip
            write_picture(path, panel(pictures))
