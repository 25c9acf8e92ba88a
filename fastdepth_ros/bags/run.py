"""Run over one bag or many: depth for every frame, with its stamp; a killed run resumes where it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.bags.bag_files import BagError
from fastdepth_ros.bags.depth_bag import DepthBag
from fastdepth_ros.bags.inspect import inspect_bag
from fastdepth_ros.bags.request import Request, Summary, Task
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.pool import Pool

Windows = Pool[Task, Summary]

_FIRST = 256  # tasks that are counted before the pool opens, which needs no more workers than tasks
_AHEAD = 2  # submitted tasks per worker


@dataclass
class Outcome:
    """Outcome of a run.

    Args:
        summaries: summary of each new bag.
        failures: reason of each new bag that failed.
        notes: remarks for each new bag on the bags that it was made of.
    """

    summaries: dict[Path, Summary] = field(default_factory=dict)
    failures: dict[Path, str] = field(default_factory=dict)
    notes: dict[Path, list[str]] = field(default_factory=dict)


def write_depth_bags(
    bags: Mapping[Path, Sequence[Path]], request: Request, open_pool: Callable[[int], AbstractContextManager[Windows]]
) -> Outcome:
    """Read one image topic of each bag, write `/depth/image` (32FC1 meters) and `/depth/camera_info` with the frames'
    stamps, and what else is asked for. A bag that fails leaves the others alone.

    Args:
        bags: source bags of each new bag.
        open_pool: opens a pool for a number of tasks.
    """
    with ExitStack() as claims, tqdm(total=0, unit="frame", delay=0.5) as progress:
        run = _Run(bags, request, claims, progress)
        if run.first:
            with open_pool(len(run.first)) as pool:
                run.work(pool)
    return run.outcome


class _Run:
    """Opens one bag after the other, gives its missing windows to a pool, and finishes it with its last part."""

    def __init__(
        self, bags: Mapping[Path, Sequence[Path]], request: Request, claims: ExitStack, progress: tqdm
    ) -> None:
        self.outcome = Outcome()
        self._bags, self._request, self._claims, self._progress = bags, request, claims, progress
        self._running: dict[Future[Summary], tuple[DepthBag, int]] = {}
        self._tasks = self._missing()
        self.first = deque(islice(self._tasks, _FIRST))

    def work(self, pool: Windows) -> None:
        while True:
            while len(self._running) < _AHEAD * pool.width and (task := self._next()) is not None:
                bag, number = task
                self._running[pool.submit(bag.task(number))] = task
            if not self._running:
                return
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                self._take(future)

    def _missing(self) -> Iterator[tuple[DepthBag, int]]:
        """Windows of every bag that have no part yet."""
        for out, sources in self._bags.items():
            try:
                bag = DepthBag(out, [inspect_bag(source, self._request) for source in sources], self._request)
                self.outcome.notes[out] = bag.notes
                summary = bag.finished()
                if summary is not None:
                    self.outcome.summaries[out] = summary
                    continue
                bag.folder.claim_parts()
                self._claims.callback(bag.folder.release)
            except (FastDepthError, OSError) as error:
                self.outcome.failures[out] = str(error)
                continue
            missing = bag.resume()
            self._progress.total += bag.frames
            self._progress.update(bag.frames_done)
            self._finish_if_complete(bag)
            self._give_up_if_failed(bag)
            for number in missing:
                yield bag, number

    def _next(self) -> tuple[DepthBag, int] | None:
        while True:
            task = self.first.popleft() if self.first else next(self._tasks, None)
            if task is None or task[0].out not in self.outcome.failures:
                return task

    def _take(self, future: Future[Summary]) -> None:
        bag, number = self._running.pop(future)
        try:
            before = bag.frames_done
            bag.take(number, future.result())
            self._progress.update(bag.frames_done - before)
            self._finish_if_complete(bag)
        except BrokenExecutor as error:
            raise BagError(
                f"a worker was killed, perhaps for want of memory ({error}); the same command goes on from there"
            ) from error
        except (BagError, OSError) as error:
            self.outcome.failures.setdefault(bag.out, str(error))
        self._give_up_if_failed(bag)

    def _give_up_if_failed(self, bag: DepthBag) -> None:
        if bag.out in self.outcome.failures and all(other is not bag for other, _ in self._running.values()):
            self.outcome.failures[bag.out] += bag.give_up()

    def _finish_if_complete(self, bag: DepthBag) -> None:
        if not bag.complete or bag.out in self.outcome.failures:
            return
        try:
            self.outcome.summaries[bag.out] = bag.finish()
        except (BagError, OSError) as error:
            wrote = not isinstance(error, BagError)  # whose message says what was done
            self.outcome.failures[bag.out] = f"cannot write {bag.out}: {error}" if wrote else str(error)
