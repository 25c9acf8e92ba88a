"""Git LFS pointers: small text files that stand for large ones in a checkout without LFS."""

from __future__ import annotations

from pathlib import Path

_BEGIN = b"version https://git-lfs"
POINTER_WORDS = "is a Git LFS pointer, not the file itself; `git lfs pull` in its repository brings that"


def is_pointer(path: Path) -> bool:
    """Whether a file is a Git LFS pointer; False where it does not exist."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_BEGIN)) == _BEGIN
