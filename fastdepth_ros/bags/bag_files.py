"""Bags on disk: the files of one, and those that a command line names."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from fastdepth_ros.errors import FastDepthError

FILE_SUFFIXES = (".bag", ".mcap", ".db3")
METADATA = "metadata.yaml"
_STORAGES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")


class BagError(FastDepthError):
    """A bag that cannot be read or written; the message says why and what to do."""


@dataclass(frozen=True)
class Files:
    """The files of a bag.

    Args:
        storages: files with its messages, in the order of the recording.
        metadata: metadata.yaml; None if missing or unreadable.
        notes: remarks for the user on what was wrong.
    """

    storages: tuple[Path, ...]
    metadata: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[Path, ...]:
        return (*self.storages, *([self.metadata] if self.metadata else []))


def bag_folder(path: Path) -> Path:
    """The rosbag2 folder of a file in one, of anything else the path itself."""
    return path.parent if path.suffix in (".mcap", ".db3") and (path.parent / METADATA).is_file() else path


def files_of(path: Path) -> Files:
    """The files of a rosbag2 folder, of a single file in one, or of a ROS 1 bag.

    Of metadata.yaml only the names of the files count. Where it cannot be read, or does not fit a file that was named,
    that file is the bag; of a folder all the files in it are.

    Raises:
        BagError: there is none.
    """
    folder = bag_folder(path)
    if not folder.is_dir():
        return Files((folder,))
    file = folder / METADATA
    if not file.is_file():
        raise BagError(
            f"{path} has no {METADATA}: no bag, or its recorder was killed; `ros2 bag reindex` writes one, "
            "or name the .mcap or .db3 file in it"
        )
    named = path != folder
    try:
        storages = _named_by(_information(file), folder)
        if not storages:
            raise FastDepthError("it names no file")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{file} cannot be read ({' '.join(f'{type(error).__name__} {error}'.split())})"
        inside = (path,) if named else tuple(sorted(_storages_in(folder), key=_natural))
        if not inside:
            raise BagError(f"{why}, and no .mcap or .db3 file lies beside it") from None
        return Files(inside, notes=(f"{why}; read without it: {', '.join(one.name for one in inside)}",))
    missing = [storage.name for storage in storages if not storage.is_file()]
    if named and (missing or path.name not in {storage.name for storage in storages}):
        return Files((path,), notes=(f"{file} names other files; read without it: {path.name}",))
    if missing:
        raise BagError(
            f"{folder} lacks files that its {METADATA} names: {', '.join(missing)}; "
            "bring them, or name one of the others to read it alone"
        )
    return Files(storages, file)


def custom_data(bag: Path) -> dict[str, str]:
    """Custom data in the metadata of a rosbag2 folder; empty for other bags."""
    try:
        return dict(_information(bag / METADATA).get("custom_data") or {})
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return {}


def find_bags(given: Sequence[str], out: Path) -> dict[str, Path]:
    """Bags given by their path, by a folder above them, or by a pattern (`*`, `?`, `**`).

    Args:
        out: bags in this folder are results of an earlier run and left out.

    Returns:
        Paths by unique name: relative to the folder that was given, else the bag's own name.

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
    return (path / METADATA).is_file() or (path.is_file() and path.suffix in FILE_SUFFIXES)


def _matches(text: str) -> list[tuple[str, Path]]:
    path = Path(text)
    if path.is_dir() and not is_bag(path):
        inside = _below(path)
        if inside:
            return inside
    if path.exists() or not glob.has_magic(text):
        return [(_name(path), path)]
    paths = sorted({bag_folder(Path(match)) for match in glob.glob(text, recursive=True)})
    bags = [(_name(path), path) for path in paths if is_bag(path)]
    if not bags:
        raise BagError(f"no bag matches {text}")
    return bags


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


def _information(file: Path) -> Mapping[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]


def _named_by(information: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    return tuple(folder / PurePath(name).name for name in information["relative_file_paths"])


def _storages_in(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file() and file.name.endswith(_STORAGES)]


def _natural(path: Path) -> list[tuple[int, str]]:
    """`bag_10` behind `bag_9`, as rosbag2 numbers the files of a split bag."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", path.name)]
