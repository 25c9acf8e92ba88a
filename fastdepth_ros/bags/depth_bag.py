"""One new bag in the making: its job, its parts, and the joining of these."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import fastdepth_ros
from fastdepth_ros.bags.bag_files import BagError, custom_data
from fastdepth_ros.bags.inspect import InspectedBag, own_topics
from fastdepth_ros.bags.metrics import read_metrics, write_metrics
from fastdepth_ros.bags.reader import open_bag
from fastdepth_ros.bags.request import Request, Summary, Task, Topic
from fastdepth_ros.bags.writer import PartsFolder, join_parts
from fastdepth_ros.jobs.atomic_io import replace_durably

_JOB, _SUMMARY = "fastdepth_ros.job", "fastdepth_ros.summary"  # keys of the new bag's custom data


class DepthBag:
    """New bag with the depth of one bag or several.

    Args:
        opened: bags, in any order.

    Raises:
        BagError: no frame of them gets a depth.
    """

    def __init__(self, out: Path, opened: Sequence[InspectedBag], request: Request) -> None:
        self.out = out
        self._request = request
        self._opened = sorted(opened, key=lambda one: one.began_ns)
        copied = dict.fromkeys(chain.from_iterable(one.copied for one in self._opened))
        self._topics: tuple[Topic, ...] = (*own_topics(request), *copied)
        self._windows = [(one.source, window) for one in self._opened for window in one.windows]
        self._summaries: dict[int, Summary] = {}
        self.frames = sum(len(window.kept) for _, window in self._windows)
        if not self.frames:
            raise BagError("; ".join(f"{one.source.path}: {one.idle}" for one in self._opened))
        self.frames_done = 0
        job = self._job()
        self._digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
        self.folder = PartsFolder(out.absolute(), job)

    def _job(self) -> dict[str, object]:
        """Everything that the bytes of the new bag depend on, as JSON."""
        request = {key: value for key, value in asdict(self._request).items() if key != "recipe"}
        sources = [{"path": str(one.source.path), "files": one.files, "bits": one.source.bits} for one in self._opened]
        facts = self._request.recipe.facts()
        return json.loads(json.dumps({"version": fastdepth_ros.__version__, "sources": sources, **request, **facts}))

    @property
    def notes(self) -> list[str]:
        """Remarks on the bags, each once."""
        return list(dict.fromkeys(note for one in self._opened for note in one.notes))

    @property
    def complete(self) -> bool:
        return len(self._summaries) == len(self._windows)

    def finished(self) -> Summary | None:
        """Summary of the frames, if this very bag exists already.

        Raises:
            BagError: something else is there.
        """
        if not self.out.exists():
            return None
        found = custom_data(self.out)
        if found.get(_JOB) != self._digest:
            raise BagError(f"{self.out} exists; choose another output or remove it")
        try:
            with open_bag(self.out):  # a bag that is cut short does not open
                summary = Summary(**json.loads(found[_SUMMARY]))
            if self._request.truth is not None:
                read_metrics(self.out)
        except (BagError, KeyError, OSError, TypeError, ValueError) as error:
            raise BagError(
                f"{self.out} was finished and is damaged ({error}); remove it, and the same command computes it anew"
            ) from error
        self.folder.remove()
        return summary

    def resume(self) -> list[int]:
        """Numbers of the windows whose part is missing."""
        for number in range(len(self._windows)):
            summary = self.folder.done(number)
            if summary is not None:
                self.take(number, summary)
        return [number for number in range(len(self._windows)) if number not in self._summaries]

    def task(self, number: int) -> Task:
        source, window = self._windows[number]
        return Task(self._request, source, window, self._topics, self.folder.part(number))

    def take(self, number: int, summary: Summary) -> None:
        """Count the part of a window."""
        self._summaries[number] = summary
        self.frames_done += len(self._windows[number][1].kept)

    def finish(self) -> Summary:
        """Join the parts; the bag takes its name when it is whole.

        Raises:
            BagError: no frame gave a depth; nothing is left.
            BagError, OSError: it cannot be written; the parts stay.
        """
        summary = Summary()
        for number in range(len(self._windows)):
            summary.add(self._summaries[number])
        if not summary.frames_out:
            self._summaries.clear()  # the parts hold nothing to go on from
            reasons = "".join(f"\n  {count} dropped: {reason}" for reason, count in summary.dropped.items())
            raise BagError(f"none of {summary.frames_in} frames of {self._request.image_topic} gave a depth{reasons}")
        building = self.folder.path / self.out.name
        shutil.rmtree(building, ignore_errors=True)  # of a run that was killed while it joined
        parts: dict[Path, list[Path]] = {}  # by source
        for number, (source, _) in enumerate(self._windows):
            parts.setdefault(source.path, []).append(self.folder.part(number).with_suffix(".mcap"))
        counts = {**asdict(summary), "measured": []}
        join_parts(
            list(parts.values()), building, self._topics, {_JOB: self._digest, _SUMMARY: json.dumps(counts)},
            sqlite3=self._opened[0].sqlite3, zstd=self._request.zstd,
        )  # fmt: skip
        if self._request.truth is not None:
            write_metrics(building, summary)
        replace_durably(building, self.out)
        self.folder.remove()
        return summary

    def give_up(self) -> str:
        """Keep the parts for the next run, and say so; without any, remove the folder."""
        self.folder.release()
        if not self._summaries:
            self.folder.remove()
            return ""
        return (
            f"; {len(self._summaries)} of {len(self._windows)} parts are kept in {self.folder.path}: "
            "the same command goes on from there"
        )
