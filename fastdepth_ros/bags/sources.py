"""Bags given on a command line: one, those in a folder, or those that match a pattern."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fastdepth_ros.bags.recording import BagError

_FILES = (".bag", ".mcap", ".db3")


def find_bags(given: Sequence[str], out: Path) -> dict[str, Path]:
    """The bags that are given by their path, by a folder above them, or by a pattern (`*`, `?`, `**`).

    Args:
        out: what lies there is the result of an earlier run, not meant.

    Returns:
        Their paths, by a name that no two share: below the folder where one was given, else the bag's own.

    Raises:
        BagError: nothing there, a folder without bags, or two bags of one name.
    """
    found: dict[str, Path] = {}
    for text in given:
        for name, path in _matches(text):
            if out.resolve() in (path.resolve(), *path.resolve().parents):
                continue
            if found.setdefault(name, path).resolve() != path.resolve():
                raise BagError(f"{found[name]} and {path} would both become {name}; give the folder above them instead")
    if not found:
        raise BagError(f"no bag in {' '.join(given)} but in {out}")
    return found


def is_bag(path: Path) -> bool:
    return (path / "metadata.yaml").is_file() or (path.is_file() and path.suffix in _FILES)


def _matches(text: str) -> list[tuple[str, Path]]:
    path = Path(text)
    if path.is_dir() and not is_bag(path):
        inside = _below(path)
        if inside:
            return inside
    if path.exists() or not glob.has_magic(text):
        return [(_name(path), path)]
    paths = sorted({_whole(Path(match)) for match in glob.glob(text, recursive=True)})
    bags = [(_name(path), path) for path in paths if is_bag(path)]
    if not bags:
        raise BagError(f"no bag matches {text}")
    return bags


def _whole(path: Path) -> Path:
    """The rosbag2 folder of a file in one."""
    return path.parent if path.is_file() and (path.parent / "metadata.yaml").is_file() else path


def _name(path: Path) -> str:
    path = path.absolute()
    return path.stem if path.is_file() else path.name


def _below(folder: Path) -> list[tuple[str, Path]]:
    """Bags in a folder and in those below it; a rosbag2 folder is one bag, whatever files it has."""
    found: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if is_bag(path):
            found.append((_name(path), path))
        elif path.is_dir():
            found += [(f"{path.name}/{name}", inside) for name, inside in _below(path)]
    return found
