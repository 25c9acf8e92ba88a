"""Pointers of Git LFS: the small text that a checkout without LFS has in place of a large file."""

from __future__ import annotations

from pathlib import Path

_BEGIN = b"version https://git-lfs"
POINTER_WORDS = "is a Git LFS pointer, not the file itself; `git lfs pull` in its repository brings that"


def is_pointer(path: Path) -> bool:
    """Whether a file is such a pointer; False where there is no file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_BEGIN)) == _BEGIN
