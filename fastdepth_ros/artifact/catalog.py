"""Catalog of published models: addresses, checksums, accuracy, license."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastdepth_ros.errors import FastDepthError

VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One published model.

    Attributes:
        name: unique name that is also a file name.
        variant: name that the authors give to the network.
        urls: addresses of the same file, tried in order.
        sha256: checksum of the file; None where none is published.
        channels: a named channel list, or one in the form of a manifest.
        accuracy: published figures: set, rmse_m, delta1, source.
        training_data, licence: fields of the manifest.
    """

    name: str
    variant: str
    urls: tuple[str, ...]
    sha256: str | None
    channels: str | Mapping[str, list[int]]
    accuracy: Mapping[str, Any]
    training_data: str
    licence: str

    @property
    def file_name(self) -> str:
        return f"{self.name}.pth.tar"


def read_catalog(path: Path | None = None) -> tuple[Entry, ...]:
    """The entries of a catalog, the package's own by default.

    Raises:
        FastDepthError: no such file, not JSON, another version, or an incomplete entry.
    """
    source = path or files("fastdepth_ros.artifact").joinpath("catalog.json")
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise FastDepthError(f"no catalog at {source}: {error.strerror}") from error
    except ValueError as error:
        raise FastDepthError(f"{source} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise FastDepthError(f"{source} is no catalog of version {VERSION}")
    return tuple(_entry(source, one) for one in content.get("models", ()))


def find_entry(name: str, catalog: tuple[Entry, ...]) -> Entry:
    """The entry of that name.

    Raises:
        FastDepthError: no such entry; the message lists the entries.
    """
    for entry in catalog:
        if entry.name == name:
            return entry
    raise FastDepthError(f"no {name!r} in the catalog, it has {', '.join(entry.name for entry in catalog)}")


def _entry(source: Any, content: Any) -> Entry:
    names = [field.name for field in fields(Entry)]
    if not isinstance(content, dict) or set(content) != set(names):
        found = ", ".join(sorted(content)) if isinstance(content, dict) else repr(content)
        raise FastDepthError(f"{source}: an entry has {found}; it needs {', '.join(names)}")
    entry = Entry(**{**content, "urls": tuple(content["urls"])})
    if not re.fullmatch(r"\w[\w.-]*", entry.name):
        raise FastDepthError(f"{source}: {entry.name!r} is no name for a file")
    if entry.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        raise FastDepthError(f"{source}: the sha256 of {entry.name} is {entry.sha256!r}, needs 64 hex digits or null")
    if not entry.urls or not isinstance(entry.accuracy.get("delta1"), float):
        raise FastDepthError(f"{source}: {entry.name} needs at least one URL, and its delta1")
    return entry
