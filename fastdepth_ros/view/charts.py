"""Charts as inline SVG. The page's style sheet sets their colors, in light and dark mode."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
MAX_POINTS = 400  # most points of a line: about two per pixel column


def line_chart(
    title: str,
    series: dict[str, tuple[np.ndarray, np.ndarray]],
    *,
    x_label: str,
    y_label: str,
    band: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> str:
    """Lines over one axis; NaN breaks a line.

    Args:
        series: name -> x and y; the n-th line has the class `s{n}` of the style sheet.
        band: x, lower and upper edge of an area behind the lines.
    """
    xs = np.concatenate([x for x, _ in series.values()])
    ys = np.concatenate([*(y for _, y in series.values()), *(band[1:] if band else ())])
    frame = _Frame((float(xs.min()), float(xs.max())), (min(0.0, _least(ys)), _most(ys)))
    parts = [frame.axes(x_label, y_label)]
    if band:
        low_x, low = _known(*_thinned(band[0], band[1]))
        high_x, high = _known(*_thinned(band[0], band[2]))
        outline = frame.points(np.r_[high_x, low_x[::-1]], np.r_[high, low[::-1]])
        parts.append(f'<polygon class="band" points="{outline}"/>')
    for number, (name, (x, y)) in enumerate(series.items()):
        x, y = _thinned(x, y)
        for part in np.ma.clump_unmasked(np.ma.masked_invalid(y)):
            if part.stop - part.start == 1:
                parts.append(frame.dot(number, x[part][0], y[part][0]))
            else:
                points = frame.points(x[part], y[part])
                parts.append(f'<polyline class="line s{number}" points="{points}"><title>{escape(name)}</title>')
                parts.append("</polyline>")
    return _figure(title, parts, list(series) if len(series) > 1 or band else [], band is not None)


def histogram(title: str, edges: np.ndarray, counts: np.ndarray, *, x_label: str) -> str:
    """Bars over an axis that is even in the logarithm of `edges`; empty ends are left out."""
    used = np.flatnonzero(counts)
    low, high = (used[0], used[-1] + 1) if used.size else (0, len(counts))
    edges, shares = edges[low : high + 1], 100 * counts[low:high] / max(int(counts.sum()), 1)
    frame = _Frame((float(edges[0]), float(edges[-1])), (0.0, _most(shares)), log_x=True)
    parts = [frame.axes(x_label, "share of pixels [%]")]
    for left, right, share in zip(edges, edges[1:], shares):
        x0, x1, y = frame.x(left), frame.x(right), frame.y(share)
        text = f"{left:.2f} to {right:.2f} m: {share:.1f} %"
        parts.append(
            f'<rect class="bar" x="{x0:.1f}" y="{y:.1f}" width="{max(x1 - x0 - 0.6, 0.4):.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}"><title>{text}</title></rect>'
        )
    return _figure(title, parts, [], False)


class _Frame:
    """Plot area: data to pixels, axes and their ticks."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float], *, log_x: bool = False) -> None:
        self._log_x = log_x
        self._x_range = x_range if x_range[1] > x_range[0] else (x_range[0], x_range[0] + 1)
        self._x_ticks = _log_ticks(*self._x_range) if log_x else _ticks(*self._x_range)
        self._y_ticks = _ticks(*y_range)
        self._y_range = (self._y_ticks[0], max(self._y_ticks[-1], y_range[1]))

    def x(self, value: float) -> float:
        low, high = np.log(self._x_range) if self._log_x else self._x_range
        share = ((np.log(value) if self._log_x else value) - low) / (high - low)
        return float(LEFT + share * (WIDTH - LEFT - RIGHT))

    def y(self, value: float) -> float:
        low, high = self._y_range
        return float(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM))

    def points(self, xs: np.ndarray, ys: np.ndarray) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys))

    def dot(self, number: int, x: float, y: float) -> str:
        return f'<circle class="dot s{number}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="2"/>'

    def axes(self, x_label: str, y_label: str) -> str:
        parts = []
        for tick in self._y_ticks:
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        for tick in self._x_ticks:
            x = self.x(tick)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
            )
        middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
        parts.append(
            f'<text class="label" x="{middle_x}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
        )
        parts.append(
            f'<text class="label" transform="translate(14 {middle_y}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_label)}</text>"
        )
        return "".join(parts)


def _figure(title: str, parts: Sequence[str], names: Sequence[str], banded: bool) -> str:
    keys = [f'<span class="key s{number}">{escape(name)}</span>' for number, name in enumerate(names)]
    if banded:
        keys.append('<span class="key area">5 to 95 %</span>')
    legend = f'<div class="legend">{"".join(keys)}</div>' if keys else ""
    return (
        f"<figure><figcaption>{escape(title)}{legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at most `low` (of a range that starts at 0: from 0) up to about `high`."""
    span = max(high - low, 1e-9)
    step = 10 ** np.floor(np.log10(span / about))
    step = next(factor * step for factor in (1, 2, 5, 10) if span / (factor * step) <= about)
    first = int(np.ceil(low / step - 1e-9))
    return [round(float(n * step), 10) for n in range(first, int(np.floor(high / step + 1e-9)) + 1)] or [low]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = [1, 2, 5] if high / low > 20 else [1, 1.5, 2, 3, 4, 5, 7]
    candidates = [digit * 10.0**power for power in range(-2, 3) for digit in decades]
    return [tick for tick in candidates if low <= tick <= high]


def _least(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else 0.0


def _most(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return (float(known.max()) if known.size else 0.0) or 1.0


def _known(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[np.isfinite(y)], y[np.isfinite(y)]


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Line reduced to MAX_POINTS: minimum and maximum of each part, so that no peak is lost."""
    if len(x) <= MAX_POINTS:
        return np.asarray(x, float), np.asarray(y, float)
    chosen: set[int] = set()
    for stretch in np.array_split(np.arange(len(x)), MAX_POINTS // 2):
        known = stretch[np.isfinite(y[stretch])]
        chosen |= (
            {int(known[np.argmin(y[known])]), int(known[np.argmax(y[known])])} if known.size else {int(stretch[0])}
        )
    places = sorted(chosen)
    return np.asarray(x, float)[places], np.asarray(y, float)[places]
