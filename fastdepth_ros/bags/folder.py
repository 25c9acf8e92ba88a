"""Files of a bag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ruamel.yaml import YAML, YAMLError

from fastdepth_ros.errors import FastDepthError

FILE_SUFFIXES = (".bag", ".mcap", ".db3")
_STORAGES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
METADATA = "metadata.yaml"


@dataclass(frozen=True)
class Files:
    """The files of a bag.

    Args:
        storages: that hold its messages, in the order of the recording.
        metadata: metadata.yaml, None where there is none or it cannot be read.
        notes: what was not as it should be.
    """

    storages: tuple[Path, ...]
    metadata: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[Path, ...]:
        return (*self.storages, *([self.metadata] if self.metadata else []))


class NotABagError(FastDepthError):
    """A path where no bag is; the message says why and what to do."""


def bag_folder(path: Path) -> Path:
    """The rosbag2 folder of a file in one, of anything else the path itself."""
    return path.parent if path.suffix in (".mcap", ".db3") and (path.parent / METADATA).is_file() else path


def files_of(path: Path) -> Files:
    """The files of a rosbag2 folder, of a single file in one, or of a ROS 1 bag.

    Of metadata.yaml only the names of the files count. Where it cannot be read, or does not fit a file that was named,
    that file is the bag; of a folder all the files in it are.

    Raises:
        NotABagError: there is none.
    """
    folder = bag_folder(path)
    if not folder.is_dir():
        return Files((folder,))
    file = folder / METADATA
    if not file.is_file():
        raise NotABagError(
            f"{path} has no {METADATA}: no bag, or its recorder was killed; `ros2 bag reindex` writes one, "
            "or name the .mcap or .db3 file in it"
        )
    named = path != folder
    try:
        storages = _named_by(_information(file), folder)
        if not storages:
            raise FastDepthError("it names no file")
    except (OSError, YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{file} cannot be read ({' '.join(f'{type(error).__name__} {error}'.split())})"
        inside = (path,) if named else tuple(sorted(_storages_in(folder), key=_natural))
        if not inside:
            raise NotABagError(f"{why}, and no .mcap or .db3 file lies beside it") from None
        return Files(inside, notes=(f"{why}; read without it: {', '.join(one.name for one in inside)}",))
    missing = [storage.name for storage in storages if not storage.is_file()]
    if named and (missing or path.name not in {storage.name for storage in storages}):
        return Files((path,), notes=(f"{file} names other files; read without it: {path.name}",))
    if missing:
        raise NotABagError(
            f"{folder} lacks files that its {METADATA} names: {', '.join(missing)}; "
            "bring them, or name one of the others to read it alone"
        )
    return Files(storages, file)


def custom_data(bag: Path) -> dict[str, str]:
    """Custom data that a writer kept in the metadata of a rosbag2 folder; empty for other bags."""
    try:
        return dict(_information(bag / METADATA).get("custom_data") or {})
    except (OSError, YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return {}


def _information(file: Path) -> Mapping[str, Any]:
    return YAML(typ="safe").load(file.read_text())["rosbag2_bagfile_information"]


def _named_by(information: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    return tuple(folder / PurePath(name).name for name in information["relative_file_paths"])


def _storages_in(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file() and file.name.endswith(_STORAGES)]


def _natural(path: Path) -> list[tuple[int, str]]:
    """`bag_10` behind `bag_9`, as rosbag2 numbers the files of a split bag."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", path.name)]
