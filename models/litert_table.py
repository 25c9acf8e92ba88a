"""Table of doc/litert.md: accuracy and latency of the public int8 FastDepth in LiteRT, beside its float import's.

Usage: python models/litert_table.py TFLITE NYU_LABELED [--write doc/litert.md]

Runs the verbs that the page names, in a temporary folder, and prints Markdown or writes it into the page. The latencies
are of one `fastdepth bench` run: start it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from fastdepth_ros.cli import main as fastdepth
from fastdepth_ros.jobs.atomic_io import atomic_write

START, END = "<!-- models/litert_table.py writes this -->", "<!-- to here -->"
AS_IS = [
    "--as-is",
    "--license",
    "MIT",
    "--view",
    "authors",
    "--fit",
    "stretch",
    "--focal",
    "trained:198.9,265.8",
    "--yes",
]
MODELS = {"fast-depth-float": ([], "fp32", "onnxruntime"), "fast-depth-int8": (AS_IS, "int8", "litert")}


def run(*arguments: object) -> None:
    if fastdepth([str(argument) for argument in arguments]):
        raise SystemExit(f"fastdepth {arguments[0]} failed")


def table(tflite: Path, nyu_labeled: Path, folder: Path, more: list[str]) -> str:
    """The table as Markdown; `more` are options of the benchmark."""
    for name, (options, precision, backend) in MODELS.items():
        run("models", "import", tflite, "--out", folder / name, *options)
        engine = ["--model", folder / name, "--backend", backend, "--precision", precision]
        run("evaluate", *engine, "--dataset", "nyu-labeled", "--root", nyu_labeled, "--record")
    models = [folder / name for name in MODELS]
    engines = ["--backends", "onnxruntime", "litert", "--precisions", "fp32", "int8", "--threads", 1, 2]
    run("bench", "--models", *models, *engines, "--no-node", *more, "--out", folder / "bench")
    results = json.loads((folder / "bench" / "bench.json").read_text())
    rows = [row for row in results["rows"] if row["group"] == "engine"]
    lines = [
        f"| {row['model']} | {row['engine']} | {row['delta1']:.3f} | {row['rmse']:.3f} | {row['threads']} "
        f"| {row['median_ms']:.1f} | {row['min_ms']:.1f} |"
        for row in sorted(rows, key=lambda row: (row["model"], row["threads"]))
    ]
    heads = ["| artifact | engine | delta1 | RMSE m | threads | median ms | min ms |", "|---|---|---|---|---|---|---|"]
    machine = results["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {results['date']}; 654 test pairs, authors' protocol."
    return "\n".join([*heads, *lines, "", where])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tflite", type=Path, help="fast_depth_224_int8.tflite")
    parser.add_argument("nyu_labeled", type=Path, help="folder of the labeled pairs of NYU Depth v2")
    parser.add_argument("--write", type=Path, help="page to write the table into")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of the benchmark")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = table(parsed.tflite, parsed.nyu_labeled, Path(name), ["--quick"] * parsed.quick)
    if parsed.write:
        before, marked, rest = parsed.write.read_text().partition(START)
        if not marked:
            raise SystemExit(f"{parsed.write} has no line {START}")
        atomic_write(parsed.write, f"{before}{START}\n{made}\n{END}{rest.partition(END)[2]}")
    else:
        print(made)
