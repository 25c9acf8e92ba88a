"""Depth for every frame of one bag or many, once, stamps kept; a run that was killed goes on where it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mcap.exceptions import McapError
from tqdm import tqdm

from fastdepth_ros.bags.making import Making
from fastdepth_ros.bags.opening import look_into
from fastdepth_ros.bags.pool import Pool
from fastdepth_ros.bags.recording import BagError
from fastdepth_ros.bags.request import Request
from fastdepth_ros.bags.summary import Summary

_AHEAD = 2  # tasks handed out for each that can run


@dataclass
class Outcome:
    """What became of a run.

    Args:
        summaries: by new bag.
        failures: by new bag that there is not, why.
    """

    summaries: dict[Path, Summary] = field(default_factory=dict)
    failures: dict[Path, str] = field(default_factory=dict)


OpenPool = Callable[[int], AbstractContextManager[Pool]]


def write_depth_bags(bags: Mapping[Path, Sequence[Path]], request: Request, open_pool: OpenPool) -> Outcome:
    """Read one image topic of each bag, write `/depth/image` (32FC1 metres) and `/depth/camera_info` with the frames'
    stamps, and what else is asked for. A bag that fails leaves the others alone.

    Args:
        bags: the bags that go into each new bag.
        open_pool: from the number of tasks, who does them.
    """
    outcome = Outcome()
    with ExitStack() as claims:
        makings = []
        for out, sources in bags.items():
            try:
                making = Making(out, [look_into(source, request) for source in sources], request)
                summary = making.finished()
                if summary is not None:
                    outcome.summaries[out] = summary
                    continue
                claims.enter_context(making.folder.claimed())
                makings.append(making)
            except (BagError, OSError) as error:
                outcome.failures[out] = str(error)
        run = _Run(makings, outcome)
        if run.tasks:
            with open_pool(run.tasks) as pool:
                run.work(pool)
        run.end()
    return outcome


class _Run:
    """Hands the missing windows of every bag to a pool, in order, and ends each bag with its last part."""

    def __init__(self, makings: Sequence[Making], outcome: Outcome) -> None:
        self._makings, self._outcome = makings, outcome
        self._waiting = deque((making, number) for making in makings for number in making.resume())
        self._running: dict[Future[Summary], tuple[Making, int]] = {}

    @property
    def tasks(self) -> int:
        return len(self._waiting)

    def work(self, pool: Pool) -> None:
        total = sum(making.frames for making in self._makings)
        with tqdm(total=total, initial=self._frames_done(), unit="frame") as progress:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < _AHEAD * pool.width:
                    making, number = self._waiting.popleft()
                    self._running[pool.submit(making.task(number))] = (making, number)
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._take(future)
                progress.update(self._frames_done() - progress.n)

    def end(self) -> None:
        """End what had all its parts from the beginning, and say of what failed how far it came."""
        for making in self._makings:
            self._finish(making)
            if making.out in self._outcome.failures:
                self._outcome.failures[making.out] += making.give_up()

    def _frames_done(self) -> int:
        return sum(making.frames_done for making in self._makings)

    def _take(self, future: Future[Summary]) -> None:
        making, number = self._running.pop(future)
        try:
            making.take(number, future.result())
        except BrokenExecutor as error:
            for one in (making, *(entry[0] for entry in self._waiting)):
                self._fail(one, f"a worker was killed, perhaps for want of memory: {error}")
        except (BagError, OSError) as error:
            self._fail(making, str(error))
        else:
            self._finish(making)

    def _finish(self, making: Making) -> None:
        if not making.complete or making.out in self._outcome.failures or making.out in self._outcome.summaries:
            return
        try:
            self._outcome.summaries[making.out] = making.finish()
        except (BagError, OSError, McapError) as error:
            self._fail(making, f"cannot write {making.out}: {error}")

    def _fail(self, making: Making, reason: str) -> None:
        self._outcome.failures.setdefault(making.out, reason)
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not making)
