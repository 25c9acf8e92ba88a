"""Figures of doc/speed.md and doc/benchmark.md, measured on this machine and written between their markers.

Usage: python models/speed_tables.py FOLDER [OPTIONS OF fastdepth bench]

Chooses the engine (`fastdepth choose`), measures engines and node (`fastdepth bench`) into FOLDER, profiles the layers
of ONNX Runtime, and writes both pages. Where FOLDER has a bench.json already, that one is written. Start it on an idle
machine: it stops where others are at work.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median

import onnxruntime

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.artifact.golden import golden_input
from fastdepth_ros.backends.onnxruntime import session_options
from fastdepth_ros.cli import main as fastdepth
from fastdepth_ros.jobs.atomic_io import atomic_write

ROOT = Path(__file__).resolve().parent.parent
SPEED, BENCHMARK = ROOT / "doc" / "speed.md", ROOT / "doc" / "benchmark.md"
START, END = "<!-- models/speed_tables.py writes this: {} -->\n", "<!-- to here -->\n"
SECTIONS = ("Latency", "Beside a busy process", "The machine's own peak", "Encoder and decoder", "The node",
            "Left out, and notes")  # fmt: skip
PRECISIONS = ("fp32", "int8")
CALLS = 200
KINDS = {  # of ONNX Runtime's operations
    "Conv": "convolutions in float32", "QLinearConv": "convolutions in int8", "Resize": "upsampling",
    "Upsample": "upsampling", "QLinearAdd": "sums in int8", "QuantizeLinear": "from float32 and back",
    "DequantizeLinear": "from float32 and back", "Transpose": "other orders of the channels",
    "ReorderInput": "other orders of the channels", "ReorderOutput": "other orders of the channels",
}  # fmt: skip


def sections(report: str) -> str:
    """The machine of a report of `fastdepth bench`, and its sections with figures, one level deeper."""
    head, *rest = report.split("\n## ")
    found = {part.partition("\n")[0]: part for part in rest}
    machine = head.removeprefix("# ").strip()
    return "\n".join([machine + "\n", *(f"### {found[name].rstrip()}\n" for name in SECTIONS if name in found)])


def precision_table(artifact: Artifact, rows: list[dict]) -> str:
    """Median of each engine on one thread by precision, accuracy and difference from fp32 of the manifest."""
    times = {(row["backend"], row["name"].split("/")[2]): row["median_ms"] for row in rows if row["threads"] == 1}
    engines = sorted({backend for backend, _ in times})
    lines = [
        "| precision | " + " | ".join(f"{name}, ms" for name in engines) + " | delta1 | from fp32, mean / p99 |",
        "|" + "---|" * (len(engines) + 3),
    ]
    for precision in PRECISIONS:
        facts = artifact.facts(precision)
        delta1 = facts.get("accuracy", {}).get("nyu-labeled/test/authors", {}).get("delta1", "")
        off = facts.get("agreement_with_fp32")
        cells = [f"{times[name, precision]:.2f}" if (name, precision) in times else "" for name in engines]
        cells += [str(delta1), f"{off['mean_m']:.3f} m / {off['p99_m']:.2f} m" if off else ""]
        if any(cells):
            lines.append(f"| `{precision}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\nFrame to depth on one thread; the accuracy is of 654 test pairs.\n"


def layer_table(artifact: Artifact, calls: int) -> str:
    """Time by kind of operation in ONNX Runtime, of fp32 and int8, which take turns on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        sessions = {}
        for precision in ("fp32", "int8"):
            options = session_options(1)
            options.enable_profiling, options.profile_file_prefix = True, f"{folder}/{precision}"
            path = artifact.model_file("onnx", precision).path
            sessions[precision] = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        given = {"rgb": golden_input(artifact.network)[0][None]}
        for _ in range(calls):
            for session in sessions.values():
                session.run(None, given)
        times = {name: _by_kind(json.loads(Path(one.end_profiling()).read_text())) for name, one in sessions.items()}
    kinds = sorted({*times["fp32"], *times["int8"]}, key=lambda kind: -times["int8"][kind])
    lines = [f"| {kind} | {times['fp32'][kind]:.2f} | {times['int8'][kind]:.2f} |" for kind in kinds]
    total = f"| all | {sum(times['fp32'].values()):.2f} | {sum(times['int8'].values()):.2f} |"
    return "\n".join(["| ONNX Runtime, one thread | fp32, ms | int8, ms |", "|---|---|---|", *lines, total]) + "\n"


def _by_kind(profile: list[dict]) -> Counter[str]:
    """Milliseconds of a call, the median of each node."""
    nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in profile:
        if event["name"].endswith("_kernel_time"):
            nodes[event["name"], event["args"]["op_name"]].append(event["dur"] / 1e3)
    found: Counter[str] = Counter()
    for (_, operation), times_ms in nodes.items():
        found[KINDS.get(operation, "the rest")] += median(times_ms)
    return found


def written(page: str, name: str, text: str) -> str:
    """A page with what stands between the markers of a name replaced.

    Raises:
        SystemExit: it has no such marker.
    """
    start = START.format(name)
    before, marked, rest = page.partition(start)
    if not marked:
        raise SystemExit(f"the page has no line {start.strip()}")
    return f"{before}{start}\n{text}\n{END}{rest.partition(END)[2]}"


def run(*arguments: object) -> None:
    if fastdepth([str(argument) for argument in arguments]):
        raise SystemExit(f"fastdepth {arguments[0]} failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the figures of fastdepth bench")
    parser.add_argument("--speed", type=Path, default=SPEED, help="page on engines and precisions")
    parser.add_argument("--benchmark", type=Path, default=BENCHMARK, help="page on the benchmark")
    parser.add_argument("--calls", type=int, default=CALLS, help="number of calls of the profile of layers")
    parser.add_argument("--unquiet", action="store_true", help="measure also beside other work, to try this out")
    parsed, bench = parser.parse_known_args()
    if not (parsed.folder / "bench.json").is_file():
        if not parsed.unquiet:
            run("choose")  # refuses beside other work; without a choice the node would measure meanwhile
        run("bench", "--precisions", *PRECISIONS, "--out", parsed.folder, *bench)
    results, artifact = json.loads((parsed.folder / "bench.json").read_text()), find_artifact()
    rows = [row for row in results["rows"] if row["group"] == "engine" and row["model"] == artifact.name]
    where = f"{results['machine']['processor']}, {results['date']}.\n\n"
    speed = written(parsed.speed.read_text(), "precisions", where + precision_table(artifact, rows))
    speed = written(speed, "layers", where + layer_table(artifact, parsed.calls))
    report = (parsed.folder / "bench.md").read_text()
    atomic_write(parsed.benchmark, written(parsed.benchmark.read_text(), "figures", sections(report)))
    atomic_write(parsed.speed, speed)


if __name__ == "__main__":
    main()
