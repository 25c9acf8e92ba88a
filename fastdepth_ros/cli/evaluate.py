"""`fastdepth evaluate`: accuracy on a data set."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fastdepth_ros.cli.options import (
    add_dataset_options,
    add_json_option,
    add_model_options,
    backend_options,
    load_model,
    print_notes,
)
from fastdepth_ros.data.datasets import open_dataset
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.metrics.depth import NAMES, NEAR_M

PROTOCOLS, WORST = ("authors", "node"), 10


if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact
    from fastdepth_ros.metrics.calibration import ConfidenceSamples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    add_dataset_options(parser, "to evaluate on", required=True)
    parser.add_argument("--split", default="test", help="split of the data set: test, train, ...")
    parser.add_argument(
        "--preprocess", choices=PROTOCOLS,
        help="authors: two nearest-neighbor resizes, as in the paper's code; node: the node's one resize (default: "
        "authors, node for a network of another view)",
    )  # fmt: skip
    add_json_option(parser)
    parser.add_argument("--record", action="store_true", help="write the figures into the manifest of the artifact")
    parser.add_argument("--per-image", type=Path, metavar="CSV", help="CSV file for the errors of each image")
    parser.add_argument(
        "--panel", type=Path, metavar="PNG", help="picture of frames, truth, depth, error (the paper's Fig. 4)"
    )
    parser.add_argument("--worst", type=Path, metavar="PNG", help=f"picture of the {WORST} images of largest RMSE")
    parser.add_argument(
        "--reliability",
        type=Path,
        metavar="PNG",
        help="diagram of the confidence: how often it holds, and what it sorts",
    )
    parser.add_argument("--beside", nargs="+", default=[], metavar="MODEL", help="further models for the pictures")


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifacts
    from fastdepth_ros.artifact.record import record_accuracy
    from fastdepth_ros.metrics.calibration import ConfidenceSamples
    from fastdepth_ros.metrics.confidence import ConfidenceFigures
    from fastdepth_ros.train.evaluation import PROTOCOLS, default_protocol, evaluate, mean_figures, pooled_figures
    from fastdepth_ros.train.evaluation_files import (
        evenly_spread,
        worst,
        write_csv,
        write_pictures,
        write_reliability,
    )

    dataset = open_dataset(parsed.dataset, parsed.root, parsed.split)
    print_notes(dataset)
    artifact, backend = load_model(parsed)
    others = find_artifacts([artifact.folder, *parsed.beside])[1:]
    parsed.preprocess = parsed.preprocess or default_protocol(artifact.network.input)
    protocol = PROTOCOLS[parsed.preprocess]
    judged = ConfidenceFigures() if artifact.network.confidence is not None else None
    if parsed.reliability and judged is None:
        raise FastDepthError(f"--reliability: {artifact.name} gives no calibrated confidence")
    samples = ConfidenceSamples() if parsed.record and artifact.confidence_state == "uncalibrated" else None
    images = evaluate(backend, dataset, protocol, artifact.network, judged, samples)
    rows = list(tqdm(images, total=len(dataset), unit="image"))
    figures, pooled = mean_figures(rows), pooled_figures(rows)
    confidence = {} if judged is None else {"confidence": judged.figures()}
    if parsed.reliability:
        write_reliability(parsed.reliability, confidence["confidence"])
    if parsed.record:
        key = f"{parsed.dataset}/{parsed.split}/{parsed.preprocess}"
        record_accuracy(artifact, parsed.precision, key, figures)
        if samples is not None:
            _calibrate(artifact, samples, key)
    focal_scale, unmeasured = float(np.median([row.focal_scale for row in rows])), len(dataset) - len(rows)
    if parsed.json:
        print(
            json.dumps(
                {**figures, "focal_scale": focal_scale, "unmeasured": unmeasured, "pooled": pooled, **confidence}
            )
        )
    else:
        print(f"{artifact.name} on {backend.engine}, {parsed.preprocess} preprocessing, {figures['images']} images:")
        for title, values in (("mean over images", figures), ("pooled over pixels", pooled)):
            print(f"  {title:<19}" + "  ".join(f"{name} {values[name]:.3f}" for name in NAMES))
        print(_more(figures, pooled, focal_scale, unmeasured))
        if judged is not None:
            print(_of_confidence(confidence["confidence"]))
    if parsed.per_image:
        write_csv(parsed.per_image, rows)
    if parsed.panel or parsed.worst:
        options = backend_options(parsed)
        models = {other.name: (other.load(parsed.backend, options), other.network) for other in others}
        models[artifact.name] = backend, artifact.network
        for path, chosen in ((parsed.panel, evenly_spread(rows)), (parsed.worst, worst(rows))):
            if path:
                write_pictures(path, models, dataset, protocol, chosen)


def _calibrate(artifact: Artifact, samples: ConfidenceSamples, on: str) -> None:
    """Write the calibration of an imported confidence into the manifest."""
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.artifact.record import record_output

    found = samples.calibration()
    if found is None:
        why = "too few pixels with a truth, or it is the same everywhere"
        print(f"confidence stays uncalibrated: {why}", file=sys.stderr)
        return
    said, meant = found
    written = find_artifact(artifact.folder.resolve())  # its accuracy was written meanwhile
    record_output(written, "confidence", calibration={"said": said, "meant": meant, "on": on})
    print(f"confidence is calibrated: probability {meant[0]:.3f} to {meant[-1]:.3f}", file=sys.stderr)


def _of_confidence(found: dict[str, Any]) -> str:
    rows = [("confidence", found), *((name.replace("_", " "), found[name]) for name in ("by_depth", "constant"))]
    lines = [f"  {name:<19}Brier {row['brier']:.4f}  area of sparsification {row['area']:.4f}" for name, row in rows]
    lines[0] += f"  (oracle {found['area_oracle']:.4f})  expected calibration error {found['ece']:.3f}"
    shares = [
        f"{100 * float(share):.0f} %: delta1 {row['delta1']:.3f} rmse {row['rmse']:.3f}"
        for share, row in found["shares"].items()
    ]
    return "\n".join([*lines, f"  most confident     {'  '.join(shares)}"])


def _more(figures: dict[str, float], pooled: dict[str, float], focal_scale: float, unmeasured: int) -> str:
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
