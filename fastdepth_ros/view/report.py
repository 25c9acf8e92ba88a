"""Self-contained HTML page about a recording: it needs no network and no other file."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from fastdepth_ros.jobs.atomic_io import atomic_write
from fastdepth_ros.metrics.depth import NAMES
from fastdepth_ros.pictures.color_map import FAR_M, NEAR_M, TICKS_M, color_bar, scale_share
from fastdepth_ros.pictures.image_files import jpeg
from fastdepth_ros.view.charts import histogram, line_chart
from fastdepth_ros.view.figures import Figures
from fastdepth_ros.view.recorded import DROPS, EDGES_M, DepthPicture, Recorded

STRIP = 6
LEVELS = {0: "ok", 1: "warning", 2: "error", 3: "stale"}
UNITS = {"rmse": "m", "mae": "m", "irmse": "1/m", "imae": "1/m"}
CHARTED = ("rmse", "mae", "delta1")


def write_report(path: Path, recorded: Recorded, figures: Figures | None = None) -> None:
    """Write the page, atomically."""
    atomic_write(path, report_page(recorded, figures))


def report_page(recorded: Recorded, figures: Figures | None = None) -> str:
    """The page as HTML."""
    assets = files("fastdepth_ros.view") / "page"
    sections = [
        ("Summary", _summary(recorded)),
        ("Player", _player(recorded)),
        ("Moments", _strip(recorded)),
        ("Rate", _rates(recorded)),
        ("Stage times", _stages(recorded)),
        ("Drops and health", _health(recorded)),
        ("Depth", _depth(recorded)),
        ("Points", _points(recorded)),
        ("Metrics", _metrics(figures)),
    ]
    body = "".join(
        f'<section id="{_slug(title)}"><h2>{title}</h2>{content}</section>' for title, content in sections if content
    )
    links = "".join(f'<a href="#{_slug(title)}">{title}</a>' for title, content in sections if content)
    return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{recorded.name}: depth"),
        heading=escape(recorded.name),
        style=(assets / "page.css").read_text(encoding="utf-8"),
        script=(assets / "page.js").read_text(encoding="utf-8"),
        links=links,
        body=body,
        moments=_pictures_json(recorded),
    )


def _summary(recorded: Recorded) -> str:
    times = recorded.stamps_ns
    duration_s = (times.max() - times.min()) / 1e9
    started = datetime.fromtimestamp(times.min() / 1e9, timezone.utc)
    width, height = recorded.size_px
    seen = recorded.histogram.sum()
    facts = {
        "depth images": f"{len(times)}",
        "duration": f"{duration_s:.1f} s",
        "rate": f"{(len(times) - 1) / duration_s:.1f} Hz" if duration_s > 0 else "of one image",
        "size": f"{width} x {height}",
        "median depth": f"{np.nanmedian(recorded.percentiles_m[:, 1]):.2f} m" if seen else "no valid pixel",
        "valid pixels": f"{100 * recorded.valid.mean():.1f} %",
    }
    if recorded.image_stamps_ns.size:
        facts["frames without depth"] = f"{recorded.without_depth()} of {len(recorded.image_stamps_ns)}"
    for name, count in recorded.drops().items():
        facts[name] = f"{count}"
    tiles = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    lines = {"depth": recorded.depth_topic, "frames": recorded.image_topic or "not in the bag"}
    if recorded.health:
        values = recorded.health[-1].values
        lines |= {key: values[key] for key in ("model", "backend", "device") if key in values}
    lines["first stamp"] = started.strftime("%Y-%m-%d %H:%M:%S UTC")
    facts_line = " · ".join(f"{key} <b>{escape(value)}</b>" for key, value in lines.items())
    unread = "".join(f"<li>{count} unreadable: {escape(why)}</li>" for why, count in recorded.unreadable.items())
    unread += "".join(f"<li>{escape(note)}</li>" for note in recorded.notes)
    return f'<dl class="tiles">{tiles}</dl><p class="note">{facts_line}</p>' + (f"<ul>{unread}</ul>" if unread else "")


def _player(recorded: Recorded) -> str:
    frame = '<figure><img id="player-frame" alt="camera frame"><figcaption>frame</figcaption></figure>'
    return (
        '<div id="filmstrip" tabindex="0" role="group" aria-label="Filmstrip player"><div class="screens">'
        f"{frame if any(picture.frame_jpeg for picture in recorded.pictures) else ''}"
        '<figure><img id="player-depth" alt="depth, near is warm"><figcaption>depth</figcaption></figure></div>'
        f"{_legend()}"
        '<div class="controls"><button id="play" type="button" aria-pressed="false">Play</button>'
        f'<input id="seek" type="range" min="0" max="{len(recorded.pictures) - 1}" value="0" aria-label="Moment">'
        '<select id="speed" aria-label="Pictures a second"><option value="2">2 / s</option>'
        '<option value="5">5 / s</option><option value="10" selected>10 / s</option>'
        '<option value="20">20 / s</option></select>'
        '<output id="clock" for="seek"></output></div>'
        '<p class="note">Space plays, the arrow keys step, Home and End jump. '
        f"{len(recorded.pictures)} of {len(recorded.stamps_ns)} depth images are shown.</p></div>"
    )


def _legend() -> str:
    scale = color_bar(256).repeat(8, axis=0)
    ticks = "".join(f'<span style="left:{100 * scale_share(m):.2f}%">{m:g} m</span>' for m in TICKS_M)
    return (
        f'<div class="scale" role="img" aria-label="Colors from {NEAR_M} to {FAR_M} meters">'
        f'<img alt="" src="{_data(jpeg(scale, 95))}"><div>{ticks}</div></div>'
    )


def _strip(recorded: Recorded) -> str:
    spread = np.unique(
        np.linspace(0, len(recorded.pictures) - 1, min(STRIP, len(recorded.pictures))).round().astype(int)
    )
    return '<ol class="strip">' + "".join(_still(recorded, recorded.pictures[place]) for place in spread) + "</ol>"


def _still(recorded: Recorded, picture: DepthPicture) -> str:
    seconds = (picture.stamp_ns - int(recorded.stamps_ns.min())) / 1e9
    frame = f'<img alt="frame at {seconds:.1f} s" src="{_data(picture.frame_jpeg)}">' if picture.frame_jpeg else ""
    depth = f'<img alt="depth at {seconds:.1f} s" src="{_data(picture.depth_jpeg)}">'
    return f"<li>{frame}{depth}<span>{seconds:.1f} s · median {picture.median_m:.1f} m</span></li>"


def _rates(recorded: Recorded) -> str:
    start_ns = int(recorded.stamps_ns.min())
    series = {"depth": _rate(recorded.stamps_ns, start_ns)}
    if recorded.image_stamps_ns.size:
        series["camera"] = _rate(recorded.image_stamps_ns, start_ns)
    return line_chart("Images a second, by stamp", series, x_label="time [s]", y_label="rate [Hz]")


def _rate(stamps_ns: np.ndarray, start_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since `start_ns`, and images per second in windows of at least 1 s and a 120th of the recording."""
    seconds = np.sort(stamps_ns - start_ns) / 1e9
    # each image covers the time up to the next one; otherwise the last window would seem half empty
    period = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    span = seconds[-1] - seconds[0] + period
    windows = max(int(min(span, 120)), 1)
    counts, edges = np.histogram(seconds, bins=windows, range=(seconds[0], seconds[0] + span))
    return (edges[:-1] + edges[1:]) / 2, counts / np.diff(edges)


def _stages(recorded: Recorded) -> str:
    timed = [entry for entry in recorded.health if entry.stages_ms(50)]
    if not timed:
        return '<p class="note">The bag holds no /diagnostics of the node: stage times are unknown.</p>'
    seconds = _since(recorded, [entry.stamp_ns for entry in timed])
    names = list(dict.fromkeys(name for entry in timed for name in entry.stages_ms(50)))
    inner = [name for name in names if name != "age"]
    lines = {name: (seconds, np.array([entry.stages_ms(50).get(name, np.nan) for entry in timed])) for name in inner}
    charts = line_chart("Stage times, median of the last 300 frames", lines, x_label="time [s]", y_label="p50 [ms]")
    if "age" in names:
        ages = {
            f"p{percentile}": (seconds, np.array([entry.stages_ms(percentile).get("age", np.nan) for entry in timed]))
            for percentile in (50, 95, 99)
        }
        charts += line_chart("Age of a frame when its depth is out", ages, x_label="time [s]", y_label="age [ms]")
    last = timed[-1]
    rows = [
        [name, *(f"{last.stages_ms(percentile).get(name, np.nan):.2f}" for percentile in (50, 95, 99))]
        for name in names
    ]
    return charts + _table(["stage, at the end", "p50 [ms]", "p95 [ms]", "p99 [ms]"], rows)


def _health(recorded: Recorded) -> str:
    if not recorded.health:
        return ""
    parts = []
    counted = [entry for entry in recorded.health if any(name in entry.values for name in DROPS)]
    if counted:
        seconds = _since(recorded, [entry.stamp_ns for entry in counted])
        series = {
            name: (seconds, np.array([float(entry.values.get(name, "nan")) for entry in counted])) for name in DROPS
        }
        title = "Frames that gave no depth, since the node was activated"
        parts.append(line_chart(title, series, x_label="time [s]", y_label="frames"))
    rows, before = [], None
    for entry in recorded.health:
        if (entry.level, entry.message) != before and entry.level:
            seconds_s = _since(recorded, [entry.stamp_ns])[0]
            rows.append([f"{seconds_s:.1f} s", LEVELS.get(entry.level, str(entry.level)), entry.message])
        before = (entry.level, entry.message)
    if rows:
        parts.append(_table(["time", "level", "the node said"], rows))
    else:
        parts.append(f'<p class="note">{len(recorded.health)} messages on /diagnostics, all of them OK.</p>')
    return "".join(parts)


def _depth(recorded: Recorded) -> str:
    seconds = _since(recorded, recorded.stamps_ns)
    low, middle, high = recorded.percentiles_m.T
    return histogram(
        "Depth of all valid pixels", EDGES_M, recorded.histogram, x_label="depth [m], even in its logarithm"
    ) + line_chart(
        "Depth over time", {"median": (seconds, middle)}, band=(seconds, low, high), x_label="time [s]",
        y_label="depth [m]",
    )  # fmt: skip


def _points(recorded: Recorded) -> str:
    """Number of points over time, and pictures of a few clouds; "" for a bag without points."""
    counts, stamps_ns = recorded.points
    if not len(counts):
        return ""
    pictures = "".join(
        f'<li><img alt="points from above and from the side" src="{_data(picture)}">'
        f"<span>{_since(recorded, [stamp])[0]:.1f} s, cells of 1 m</span></li>"
        for stamp, picture in recorded.cloud_jpegs.items()
    )
    chart = line_chart(
        "Points of a cloud", {"points": (_since(recorded, stamps_ns), counts)}, x_label="time [s]", y_label="points"
    )
    return f'<ol class="strip">{pictures}</ol>{chart}'


def _metrics(figures: Figures | None) -> str:
    if figures is None:
        return '<p class="note">No metrics were given: <code>--metrics FILE</code> takes the JSON of a truth topic.</p>'
    parts = []
    if figures.sets:
        names = [name for name in (*NAMES, "images") if any(name in found for found in figures.sets.values())]
        heads = [f"{name} [{UNITS[name]}]" if name in UNITS else name for name in names]
        rows = [
            [label, *(f"{found[name]:.4g}" if name in found else "" for name in names)]
            for label, found in figures.sets.items()
        ]
        parts.append(_table(["", *heads], rows))
    for name in CHARTED:
        series = {
            label: (
                np.array([seconds for seconds, _ in points]) - points[0][0],
                np.array([found.get(name, np.nan) for _, found in points]),
            )
            for label, points in figures.series.items()
            if any(name in found for _, found in points)
        }
        if series:
            unit = f"{name} [{UNITS[name]}]" if name in UNITS else name
            parts.append(line_chart(f"{name} over time", series, x_label="time [s]", y_label=unit))
    return "".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _pictures_json(recorded: Recorded) -> str:
    start_ns = int(recorded.stamps_ns.min())
    return json.dumps(
        [
            {
                "seconds": round((picture.stamp_ns - start_ns) / 1e9, 3),
                "median": f"{picture.median_m:.2f}",
                "frame": _data(picture.frame_jpeg) if picture.frame_jpeg else "",
                "depth": _data(picture.depth_jpeg),
            }
            for picture in recorded.pictures
        ]
    )


def _since(recorded: Recorded, stamps_ns: Sequence[int] | np.ndarray) -> np.ndarray:
    return (np.asarray(stamps_ns, np.int64) - recorded.stamps_ns.min()) / 1e9


def _data(jpeg_bytes: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes).decode()


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")
