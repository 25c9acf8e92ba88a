"""Cache folder for engines that take minutes to build for a GPU, so that the next start is fast."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fastdepth_ros.backends.base import ModelFile


def engine_cache(engine: str, model: ModelFile) -> Path:
    """A folder of the user's, made if need be, for one engine's release and one model file.

    Args:
        engine: with its version: "tensorrt-1.31.1".
        model: whose content names the folder, so that new weights never meet an old engine.
    """
    digest = model.facts.get("sha256") or hashlib.sha256(model.path.read_bytes()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "fastdepth_ros" / engine / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
