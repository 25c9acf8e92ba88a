"""Depth for every frame of one bag or many, once, stamps kept; a run that was killed goes on where it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.bags.inspect import look_into
from fastdepth_ros.bags.recording import BagError
from fastdepth_ros.bags.request import Request, Task
from fastdepth_ros.bags.summary import Summary
from fastdepth_ros.bags.unfinished_bag import Making
from fastdepth_ros.jobs.pool import Pool

Windows = Pool[Task, Summary]

_FIRST = 256  # tasks that are looked for before the pool opens, which need not be wider than there are tasks
_AHEAD = 2  # tasks handed out for each that can run


@dataclass
class Outcome:
    """Outcome of a run.

    Args:
        summaries: by new bag.
        failures: by new bag that there is not, why.
        notes: by new bag, what should be known of the bags behind it.
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
        bags: the bags that go into each new bag.
        open_pool: from the number of tasks, who does them.
    """
    with ExitStack() as claims, tqdm(total=0, unit="frame", delay=0.5) as progress:
        run = _Run(bags, request, claims, progress)
        if run.first:
            with open_pool(len(run.first)) as pool:
                run.work(pool)
    return run.outcome


class _Run:
    """Opens one bag after the other, hands its missing windows to a pool, and ends it with its last part."""

    def __init__(
        self, bags: Mapping[Path, Sequence[Path]], request: Request, claims: ExitStack, progress: tqdm
    ) -> None:
        self.outcome = Outcome()
        self._bags, self._request, self._claims, self._progress = bags, request, claims, progress
        self._running: dict[Future[Summary], tuple[Making, int]] = {}
        self._tasks = self._missing()
        self.first = deque(islice(self._tasks, _FIRST))

    def work(self, pool: Windows) -> None:
        while True:
            while len(self._running) < _AHEAD * pool.width and (task := self._next()) is not None:
                making, number = task
                self._running[pool.submit(making.task(number))] = task
            if not self._running:
                return
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                self._take(future)

    def _missing(self) -> Iterator[tuple[Making, int]]:
        """The windows of every bag that have no part yet."""
        for out, sources in self._bags.items():
            try:
                making = Making(out, [look_into(source, self._request) for source in sources], self._request)
                self.outcome.notes[out] = making.notes
                summary = making.finished()
                if summary is not None:
                    self.outcome.summaries[out] = summary
                    continue
                making.folder.claim()
                self._claims.callback(making.folder.release)
            except (BagError, OSError) as error:
                self.outcome.failures[out] = str(error)
                continue
            missing = making.resume()
            self._progress.total += making.frames
            self._progress.update(making.frames_done)
            self._finish_if_complete(making)
            self._give_up_if_failed(making)
            for number in missing:
                yield making, number

    def _next(self) -> tuple[Making, int] | None:
        while True:
            task = self.first.popleft() if self.first else next(self._tasks, None)
            if task is None or task[0].out not in self.outcome.failures:
                return task

    def _take(self, future: Future[Summary]) -> None:
        making, number = self._running.pop(future)
        try:
            before = making.frames_done
            making.take(number, future.result())
            self._progress.update(making.frames_done - before)
            self._finish_if_complete(making)
        except BrokenExecutor as error:
            raise BagError(
                f"a worker was killed, perhaps for want of memory ({error}); the same command goes on from there"
            ) from error
        except (BagError, OSError) as error:
            self.outcome.failures.setdefault(making.out, str(error))
        self._give_up_if_failed(making)

    def _give_up_if_failed(self, making: Making) -> None:
        if making.out in self.outcome.failures and all(other is not making for other, _ in self._running.values()):
            self.outcome.failures[making.out] += making.give_up()

    def _finish_if_complete(self, making: Making) -> None:
        if not making.complete or making.out in self.outcome.failures:
            return
        try:
            self.outcome.summaries[making.out] = making.finish()
        except (BagError, OSError) as error:
            wrote = not isinstance(error, BagError)  # those say themselves what was done
            self.outcome.failures[making.out] = f"cannot write {making.out}: {error}" if wrote else str(error)
