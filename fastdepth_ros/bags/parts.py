"""The parts of a bag in the making: a folder beside it that outlives a kill, and from which the work goes on."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from mcap.writer import MCAP0_MAGIC, CompressionType, Writer

from fastdepth_ros.bags.recording import BagError
from fastdepth_ros.bags.request import Topic
from fastdepth_ros.bags.summary import Summary
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import replace_durably, write_whole

LOG = logging.getLogger(__name__)


class PartWriter:
    """One part: `NAME.mcap` with its messages, and `NAME.json`, written last, with what became of the frames.

    Args:
        path: without suffix; the folder exists.
        topics: of the whole bag, so that every part numbers them alike.

    Raises:
        BagError: it cannot be written, above all because the disk is full.
    """

    def __init__(self, path: Path, topics: Sequence[Topic], *, zstd: bool) -> None:
        self._path, self._partial = path, path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        with _told(path):
            self._stream = self._partial.open("wb")
            self._writer = start_mcap(self._stream, topics, zstd=zstd)

    def write(self, topic: int, recorded_ns: int, data: bytes | memoryview) -> None:
        """Append a message, CDR, to the topic of that number."""
        with _told(self._path):
            self._writer.add_message(topic + 1, recorded_ns, data, recorded_ns)  # type: ignore[arg-type] # any buffer

    def close(self, summary: Summary) -> None:
        with _told(self._path):
            self._writer.finish()
            self._stream.close()
            replace_durably(self._partial, self._path.with_suffix(".mcap"))
            write_whole(self._path.with_suffix(".json"), json.dumps(asdict(summary)))

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the disk is full: that is on its way up already
            self._stream.close()
        self._partial.unlink(missing_ok=True)


def start_mcap(stream: Any, topics: Sequence[Topic], *, zstd: bool) -> Writer:
    """An MCAP writer as rosbag2 would have it, its channels numbered from 1 in the order of the topics."""
    writer = Writer(stream, compression=CompressionType.ZSTD if zstd else CompressionType.NONE)
    writer.start("ros2")
    schemas: dict[str, int] = {}
    for topic in topics:
        if topic.msgtype not in schemas:
            schemas[topic.msgtype] = writer.register_schema(topic.msgtype, topic.encoding, topic.definition.encode())
        writer.register_channel(topic.name, "cdr", schemas[topic.msgtype], {"offered_qos_profiles": topic.qos})
    return writer


class PartsFolder:
    """`.OUT.parts` beside OUT.

    Args:
        out: the bag in the making.
        job: what defines every byte of the bag, as JSON.
    """

    def __init__(self, out: Path, job: Mapping[str, Any]) -> None:
        self.path = out.parent / f".{out.name}.parts"
        self.out = out
        self._lock: TextIO | None = None
        self._job = json.loads(json.dumps(job))

    def claim(self) -> None:
        """Take the folder; until it is released, no other process may.

        Raises:
            BagError: another run holds it, or it holds the parts of another job.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise BagError(f"another run is writing {self.out}") from None
        try:
            self._require_job()
        except BagError:
            self.release()
            raise

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _require_job(self) -> None:
        file = self.path / "job.json"
        parts = list(self.path.glob("*.mcap"))
        try:
            found = dict(json.loads(file.read_text())) if parts else None
        except (OSError, TypeError, ValueError) as error:
            LOG.warning("%s is damaged (%s): its %d parts are computed anew", file, error, len(parts))
            found = None
            for part in parts:
                part.unlink()
        if found is None:
            write_whole(file, json.dumps(self._job, indent=2) + "\n")
        elif found != self._job:
            differing = ", ".join(sorted(key for key in self._job if found.get(key) != self._job[key]))
            raise BagError(
                f"{self.path} holds the parts of another job ({differing} differ): "
                "give that job's options to go on, or remove the folder to start anew"
            )

    def part(self, number: int) -> Path:
        """Path of a window's part, without suffix."""
        return self.path / f"{number:06d}"

    def done(self, number: int) -> Summary | None:
        """Summary of a window's frames, None while its part is missing. A damaged part is reported and removed."""
        part, file = (self.part(number).with_suffix(suffix) for suffix in (".mcap", ".json"))
        if not (part.exists() and file.exists()):
            return None
        damaged = file
        try:
            summary = Summary(**json.loads(file.read_text()))
            damaged = part
            _require_end(part)
        except (TypeError, ValueError) as error:
            LOG.warning("%s is damaged (%s): that part is computed anew", damaged, error)
            file.unlink()
            return None
        return summary

    def remove(self) -> None:
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _require_end(mcap: Path) -> None:
    """Raises ValueError for a file that does not end as MCAP does."""
    with mcap.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - len(MCAP0_MAGIC), 0))
        if size <= len(MCAP0_MAGIC) or stream.read() != MCAP0_MAGIC:
            raise FastDepthError(f"cut short at {size} bytes")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BagError(f"cannot write {path}: {error.strerror}") from error
