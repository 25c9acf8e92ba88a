"""Runs of `fastdepth bag`, and what bags hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recorded import IMAGE_TOPIC
from rosbags.highlevel import AnyReader

from fastdepth_ros.cli import main


def arguments(bag: Path | str, out: Path, model: Path, *more: object, topic: str = IMAGE_TOPIC) -> list[str]:
    """Run of the command line, with a summary as JSON."""
    given = ["bag", bag, "--image-topic", topic, "--out", out, "--model", model, "--json", *more]
    return [str(one) for one in given]


def run_bag(bag: Path | str, out: Path, model: Path, *more: object, topic: str = IMAGE_TOPIC) -> int:
    """Run in this process, unless `more` asks for workers: each of those imports everything anew."""
    if "--workers" not in more:
        more = (*more, "--workers", 1)
    return main(arguments(bag, out, model, *more, topic=topic))


def read_bag(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Time of recording and message, by topic."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with AnyReader([path]) as reader:
        for connection, recorded_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((recorded_ns, reader.deserialize(raw, connection.msgtype)))
    return found


def raw_messages(path: Path) -> list[tuple[str, str, int, bytes]]:
    """Topic, type, time of recording and bytes of every message, in order."""
    with AnyReader([path]) as reader:
        return [(c.topic, c.msgtype, recorded_ns, bytes(raw)) for c, recorded_ns, raw in reader.messages()]
