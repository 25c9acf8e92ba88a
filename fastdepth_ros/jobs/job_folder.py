"""Folder of a resumable job: what the job was begun with, and a lock against a second writer."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import finalize

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import DamagedFileError, atomic_write, read_json

_ANEW = "choose another folder, or remove this one to start anew"
_locks: set[finalize] = set()


class JobFolder:
    """Folder in which one process at a time works on one job.

    Args:
        path: created by `claim`.
        begun_with: everything that the results depend on, as JSON.
        file: name of the file in which `begun_with` is kept.
        kind: word for the job in error messages.
    """

    def __init__(self, path: Path, begun_with: Mapping[str, Any], *, file: str = "job.json", kind: str = "job") -> None:
        self.path, self.file = path, path / file
        self._begun_with, self._kind = json.loads(json.dumps(begun_with)), kind
        self._unlock: finalize | None = None

    def claim(self, *, has_results: bool) -> None:
        """Lock the folder until `release`, and note what the job is begun with.

        Args:
            has_results: the folder holds results; without any, it may have been begun with something else.

        Raises:
            DamagedFileError, FastDepthError: as `compare`.
            FastDepthError: another process holds the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._acquire()
        try:
            if not self.compare(has_results=has_results):
                atomic_write(self.file, json.dumps(self._begun_with, indent=2) + "\n")
        except BaseException:
            self.release()
            raise

    def compare(self, *, has_results: bool) -> bool:
        """Whether the folder was begun with this job.

        Raises:
            DamagedFileError: there are results, and what they were begun with is missing or cannot be read.
            FastDepthError: there are results of another job.
        """
        try:
            found = read_json(self.file)
        except (DamagedFileError, FileNotFoundError) as error:
            if has_results:
                raise DamagedFileError(f"{error}: what the results in {self.path} are of is unknown", _ANEW) from error
            return False
        if found == self._begun_with or not has_results:
            return found == self._begun_with
        theirs = found if isinstance(found, dict) else {}
        keys = sorted(theirs.keys() | self._begun_with)
        differing = [key for key in keys if theirs.get(key) != self._begun_with.get(key)]
        raise FastDepthError(
            f"{self.path} holds another {self._kind} ({', '.join(differing)} differ in {self.file.name})",
            f"give the options that it was begun with, {_ANEW}",
        )

    def release(self) -> None:
        """Let other processes claim the folder."""
        if self._unlock is not None:
            self._unlock()

    def _acquire(self) -> None:
        file = self.path / "lock"
        while True:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    raise FastDepthError(f"another run is writing {self.path}", "wait for its end") from None
                raise
            if _is_at(descriptor, file):
                self._unlock = finalize(self, _unlock, descriptor, file)
                _locks.add(self._unlock)
                return
            os.close(descriptor)  # another process released and removed it between the two calls


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _unlock(descriptor: int, file: Path) -> None:
    file.unlink(missing_ok=True)
    os.close(descriptor)


def _close_inherited() -> None:
    """Close the locks in a forked data loader: one that outlives its killed parent would keep them."""
    for lock in _locks:
        if inherited := lock.detach():
            os.close(inherited[2][0])  # the first argument of _unlock
    _locks.clear()


os.register_at_fork(after_in_child=_close_inherited)
