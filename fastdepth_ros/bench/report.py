"""The Markdown report of one run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fastdepth_ros.bench.results import QUIET_CORES, Change, Results, quiet_rounds
from fastdepth_ros.jobs.atomic_io import atomic_write

GROUPS = {"engine": "ours", "eager": "PyTorch eager", "peer": "peer", "prior": "prior work"}
PAPER_POWER = (  # Table II: platform, mode, runtime ms, power W, idle W
    ("TX2 GPU", "max-N", 5.6, 12.2, 3.4), ("TX2 GPU", "max-Q", 8.2, 6.5, 1.9),
    ("TX2 CPU", "max-N", 37.0, 10.5, 3.4), ("TX2 CPU", "max-Q", 64.0, 3.8, 1.9),
)  # fmt: skip
Row = dict[str, Any]


def write_report(path: Path, results: Results, pictures: Sequence[str], compared: str = "") -> None:
    """Write it, whole or not at all.

    Args:
        pictures: file names beside it.
        compared: the section that `comparison` made.
    """
    parts = [_head(results), _latencies(results), _busy(results), _machine(results), _halves(results), _node(results)]
    parts += [_energy(results), _flicker(results)]
    parts += [compared, *(f"![{name}]({name})\n" for name in pictures), _notes(results)]
    atomic_write(path, "\n".join(filter(None, parts)))


def comparison(changes: Sequence[Change], caveats: Sequence[str], before: str) -> str:
    """The section on what changed since `before`."""
    lines = [f"## Compared with {before}\n", *(f"**{caveat}**\n" for caveat in caveats)]
    rows = [
        (change.name, _ms(change.before_ms), _ms(change.after_ms), f"{change.after_ms / change.before_ms - 1:+.1%}",
         f"{change.times_noise:+.1f}", change.verdict)
        for change in changes
    ]  # fmt: skip
    heads = ("", "before ms", "now ms", "change", "times noise", "")
    noise = "Noise is the standard error of the difference, from how far the medians of single rounds lie apart."
    return "\n".join([*lines, _table(heads, rows), noise, ""])


def _head(results: Results) -> str:
    machine, settings = results["machine"], results["settings"]
    mode = f", power mode {settings['power_mode']}" if settings.get("power_mode") else ""
    governor = f", governor {machine['governor']}" if machine["governor"] else ""
    features = f", {', '.join(machine['features'])}" if machine["features"] else ""
    cores = f"{machine['cores']} core{'s' if machine['cores'] > 1 else ''}"
    return (
        f"# {machine['processor']}\n\n"
        f"{cores}, {machine['memory_gb']} GB{features}{governor}{mode}; {machine['system']}, "
        f"Python {machine['python']}, fastdepth_ros {results['fastdepth_ros']}, {results['date']}.\n\n"
        f"Every row is a process of its own; they took turns, {settings['rounds']} rounds of up to "
        f"{settings['frames']} runs after a warm-up. Batch 1.\n"
    )


def _latencies(results: Results) -> str:
    rows = sorted((row for row in results["rows"] if row["group"] in GROUPS), key=lambda row: row["median_ms"])
    shown = [
        (row["model"], row.get("backend", GROUPS[row["group"]]), row.get("precision", "fp32"), row["threads"],
         _ms(row["median_ms"]), _ms(row["min_ms"]), _ms(row["p99_ms"]), f"{1000 / row['median_ms']:.1f}",
         _ms(row.get("floor_ms")), _number(row.get("ratio")), _ms(row["cpu_ms"]), f"{row['memory_mb']:.0f}",
         _number(row.get("delta1"), 3), f"{quiet_rounds(row)} of {len(row['others_cores'])}")
        for row in rows
    ]  # fmt: skip
    heads = (
        "model", "engine", "precision", "threads", "median ms", "min", "p99", "fps", "floor ms", "median / floor",
        "CPU ms", "MB", "delta1", "quiet rounds",
    )  # fmt: skip
    text = (
        "Models of ours and torch eager: a 640x480 bgr8 frame in memory to an array of meters. Peers and prior work: "
        "the network alone at its own input, weights at random. Floor: the multiply-accumulates of the network at the "
        "machine's peak in float32 on as many threads. CPU: processor time of a run, threads that spin included. "
        f"Quiet rounds: others took at most {QUIET_CORES} cores.\n"
    )
    return f"## Latency\n\n{_table(heads, shown)}\n{text}"


def _busy(results: Results) -> str:
    by_name = {row["name"]: row for row in results["rows"]}
    rows = []
    for row in results["rows"]:
        if row["group"] == "busy" and row["quiet"] in by_name:
            alone = by_name[row["quiet"]]
            figures = (_ms(one[key]) for key in ("median_ms", "p95_ms", "p99_ms") for one in (alone, row))
            rows.append((row["model"], row["backend"], row["precision"], row["threads"], *figures))
    heads = ("model", "engine", "precision", "threads", "p50 ms", "busy", "p95 ms", "busy", "p99 ms", "busy")
    text = "Frame to depth, alone and while another process keeps one core busy.\n"
    return f"## Beside a busy process\n\n{_table(heads, rows)}\n{text}" if rows else ""


def _machine(results: Results) -> str:
    rows = [
        (peak["threads"], _number(peak["gflops"].get("fma"), 0), _number(peak["gflops"].get("sgemm"), 0),
         _number(peak["copy_gb_s"], 1))
        for peak in results["peaks"]
    ]  # fmt: skip
    heads = ("threads", "multiply-add loop GFLOP/s", "sgemm GFLOP/s", "copy GB/s")
    text = (
        "The fastest run of each; the larger of the two is the peak. A copy counts what it reads and what it writes.\n"
    )
    return f"## The machine's own peak\n\n{_table(heads, rows)}\n{text}" if rows else ""


def halves(results: Results) -> dict[str, dict[str, Row]]:
    """Rows of encoder, decoder and whole, by network."""
    found: dict[str, dict[str, Row]] = {}
    for row in results["rows"]:
        if row["group"] == "half":
            found.setdefault(row["model"], {})[row["part"]] = row
    return {model: parts for model, parts in found.items() if {"encoder", "decoder", "whole"} <= set(parts)}


def _halves(results: Results) -> str:
    rows = []
    for model, parts in halves(results).items():
        encoder, decoder, whole = (parts[part]["median_ms"] for part in ("encoder", "decoder", "whole"))
        share = encoder / (encoder + decoder)
        rows.append((model, _ms(encoder), _ms(decoder), f"{share:.0%} / {1 - share:.0%}", _ms(whole)))
    heads = ("network", "encoder ms", "decoder ms", "shares", "whole ms")
    text = "The ONNX graph cut in two at the encoder's end, each half in ONNX Runtime; the paper's Fig. 3.\n"
    return f"## Encoder and decoder\n\n{_table(heads, rows)}\n{text}" if rows else ""


def _node(results: Results) -> str:
    rows = []
    for scene in results.get("node", []):
        stages, counts = scene["stages_ms"], scene["counts"]
        rows.append(
            (scene["size"], scene["parameters"].get("output_size", "network"),
             scene["parameters"].get("depth_encoding", "32FC1"), "busy" if scene.get("beside_busy") else "",
             f"{scene['rate_hz']:.0f}",
             scene["sent"], counts["received"], counts["published"], counts["replaced"],
             *(" / ".join(_ms(value) for value in stages[stage][:2]) for stage in ("infer", "overhead", "age")),
             _ms(scene["latency_ms"].get("p50")), f"{scene['node_cpu']:.2f}")
        )  # fmt: skip
    heads = (
        "camera", "depth", "encoding", "beside", "Hz", "sent", "received", "published", "replaced",
        "infer p50 / p95 ms", "overhead ms", "age ms", "camera to depth p50 ms", "node CPU, cores",
    )  # fmt: skip
    text = (
        "Camera and node as two processes on a real graph. Stages are the node's own, from /diagnostics, over its "
        "last 300 frames; overhead is from the image's callback to what is published, without the inference; age is "
        "now less the frame's stamp.\n"
    )
    starts = "".join(
        f"First depth with `backend: {row['backend']}`: {median(row['first_depth_s']):.2f} s after the start of the "
        f"process, with a camera that already sends (median; all: {_seconds(row['first_depth_s'])}).\n"
        for row in results.get("start", [])
    )
    return f"## The node\n\n{_table(heads, rows)}\n{text}{starts and chr(10) + starts}" if rows else ""


def _seconds(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _energy(results: Results) -> str:
    idle = results.get("idle_w", {})
    rows = [
        (row["model"], row.get("backend", ""), row["threads"], meter, f"{row['power_w'][meter]:.2f}",
         _number(idle.get(meter)), f"{joules * 1e3:.1f}", f"{row['median_ms']:.1f}")
        for row in results["rows"]
        if row["group"] == "engine"
        for meter, joules in row["frame_j"].items()
    ]  # fmt: skip
    if not rows:
        return "## Energy\n\nNo meter that this user may read is here (RAPL, INA3221, tegrastats, NVML).\n"
    mode = results["settings"].get("power_mode") or "not told"
    paper = [
        (board, name, f"{ms:.1f}", power, idle_w, f"{power * ms:.0f}") for board, name, ms, power, idle_w in PAPER_POWER
    ]
    told = "\n".join(f"- {name}: {what}" for name, what in results.get("meters", {}).items())
    return (
        f"## Energy, power mode {mode}\n\n"
        + _table(("model", "engine", "threads", "meter", "W", "idle W", "mJ a frame", "median ms"), rows)
        + f"\n{told}\n\nThe paper's Table II (Jetson TX2):\n\n"
        + _table(("platform", "mode", "ms", "W", "idle W", "mJ a frame"), paper)
    )


def _flicker(results: Results) -> str:
    rows = [
        (row["model"], f"{row['temporal_filter']:g}", f"{row['std_m'] * 1e3:.1f}", f"{row['std_p95_m'] * 1e3:.1f}",
         f"{row['relative']:.2%}")
        for row in results.get("flicker", [])
    ]  # fmt: skip
    heads = (
        "model", "temporal_filter", "standard deviation over time, median pixel, mm", "p95 pixel, mm",
        "of the depth",
    )  # fmt: skip
    text = "A room that stands still, with a small camera's noise anew in each frame.\n"
    return f"## Flicker\n\n{_table(heads, rows)}\n{text}" if rows else ""


def _notes(results: Results) -> str:
    failed = [f"{name}: {why}" for name, why in results["failed"].items()]
    lines = "\n".join(f"- {text}" for text in [*results.get("notes", []), *failed])
    return f"## Left out, and notes\n\n{lines}\n" if lines else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _number(value: float | None, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
