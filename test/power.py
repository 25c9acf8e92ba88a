"""A power cut: every file of a folder, one at a time, empty or half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def cuts(job: Path, copies: Path, *, both: bool = True) -> Iterator[tuple[str, Path]]:
    """A name of what was cut and a copy of the folder, of which that one file is cut.

    Args:
        both: each file empty and half; else in turns, so that folders of many files cost half the time.
    """
    files = sorted(file.relative_to(job) for file in job.rglob("*") if file.is_file() and file.stat().st_size)
    assert files
    for number, file in enumerate(files):
        for kept in (0.0, 0.5) if both else (0.5 * (number % 2),):
            copy = copies / f"{number}-{kept}" / job.name
            shutil.copytree(job, copy)
            os.truncate(copy / file, int((copy / file).stat().st_size * kept))
            yield str(file), copy
            shutil.rmtree(copy.parent)
