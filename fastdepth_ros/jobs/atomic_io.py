"""Atomic, durable writing of files and folders."""

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
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path`, of the same suffix, to write to: it becomes `path` when the block ends without an error.

    A symlink stays, and what it points to is replaced. A file that exists keeps its mode. Each writer has a partial
    name of its own.
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
    """Rename a file or folder; content and name are on the disk when this returns."""
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


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file; text as UTF-8."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


class DamagedFileError(FastDepthError):
    """A damaged file; the message names it."""


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DamagedFileError: empty, cut short, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged or no JSON: {error}") from error


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to fill: it becomes `path` when the block ends without an error.

    Raises:
        FileExistsError: `path` exists.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another folder or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield building
        building.chmod(0o755)
        replace_durably(building, path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
