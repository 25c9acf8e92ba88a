"""Manifests of artifacts, to be spoiled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastdepth_ros.artifact.manifest import MANIFEST


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Write the manifest anew as `change` leaves it."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
