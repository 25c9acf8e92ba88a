"""Atomic, durable writes: a file or folder appears complete or not at all, and survives a power cut."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastdepth_ros.errors import FastDepthError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Temporary file beside `path`, of the same suffix, that replaces `path` when the block ends without an error.

    A symlink stays, and its target is replaced. The mode of an existing file stays. Each writer has its own temporary
    file.
    """
    target = path.resolve() if path.is_symlink() else path
    partial = target.with_name(f".partial.{secrets.token_hex(4)}.{target.name}")
    try:
        yield partial
        if target.exists():
            partial.chmod(target.stat().st_mode & 0o7777)
        replace_durably(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def replace_durably(partial: Path, path: Path) -> None:
    """Rename a file or folder; its content and name are on the disk when this returns."""
    if partial.is_dir():
        for folder, _, files in os.walk(partial):
            for name in (*files, "."):
                _sync(Path(folder, name))
    else:
        _sync(partial)
    os.replace(partial, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, content: bytes | str) -> None:
    """Replace the content of a file; text is encoded as UTF-8."""
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


class DamagedFileError(FastDepthError):
    """A file that is cut short or unreadable; the message names it."""


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DamagedFileError: empty, cut short, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged or no JSON: {error}") from error


def require_absent(path: Path) -> None:
    """Check a path that is about to be written.

    Raises:
        FileExistsError: `path` exists.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another folder or remove it")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Temporary folder beside `path` that is renamed to `path` when the block ends without an error.

    Raises:
        FileExistsError: `path` exists.
    """
    require_absent(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield building
        building.chmod(0o755)
        replace_durably(building, path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
