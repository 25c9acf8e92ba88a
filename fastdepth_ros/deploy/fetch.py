"""Published models: download of a checkpoint, check of what it holds, export as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastdepth_ros.artifact.artifact import sha256_of
from fastdepth_ros.artifact.catalog import Entry
from fastdepth_ros.artifact.download import download
from fastdepth_ros.deploy.export import export_artifact
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import NAMED, UNPRUNED, Channels
from fastdepth_ros.nn.importers.authors import SKIP_ADD, VARIANTS, why_unread
from fastdepth_ros.nn.importers.importer import import_network
from fastdepth_ros.nn.network import DepthNetwork


def fetch_artifact(entry: Entry, path: Path, out: Path) -> float:
    """Download a published checkpoint to `path` and write it as an artifact to `out`.

    Returns:
        Largest difference between ONNX and PyTorch, meters.

    Raises:
        FastDepthError: a variant that cannot be read, no download, or another network than the catalog says.
    """
    expected, words = _expected(entry)

    def check(path: Path) -> DepthNetwork:
        network = import_network(path)
        if network.description() != expected:
            raise FastDepthError(f"{path} has {network.description()}, the catalog says {words} of {entry.name}")
        return network

    network = download(entry.urls, path, check, sha256=entry.sha256)
    facts = {
        "source": entry.urls[0], "source_sha256": sha256_of(path), "published_accuracy": dict(entry.accuracy),
        "training_data": entry.training_data, "licence": entry.licence,
    }  # fmt: skip
    return export_artifact(network, out, facts)


def _expected(entry: Entry) -> tuple[dict[str, Any], str]:
    """The description of the network that the file must hold, and the same in words."""
    if entry.variant not in VARIANTS:
        why = why_unread(entry.variant)
        raise FastDepthError(f"{entry.name} is a {entry.variant}, which this package does not read: {why}")
    channels = _channels(entry)
    if entry.variant == SKIP_ADD:
        return {"channels": channels.as_mapping()}, str(channels)
    if channels != UNPRUNED:
        raise FastDepthError(f"{entry.name} is a {entry.variant}, which is read unpruned only; it has {channels}")
    return {"variant": VARIANTS[entry.variant]}, entry.variant


def _channels(entry: Entry) -> Channels:
    if not isinstance(entry.channels, str):
        return Channels.from_mapping(entry.channels)
    if entry.channels not in NAMED:
        raise FastDepthError(f"{entry.name} has channels {entry.channels!r}, there is {', '.join(NAMED)}")
    return NAMED[entry.channels]
