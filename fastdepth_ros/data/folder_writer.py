"""Writer of a `folder` data set, pair by pair: a killed run resumes where it stopped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.jobs.atomic_io import atomic_write
from fastdepth_ros.jobs.job_folder import JobFolder

QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
MAX_MM = np.iinfo(np.uint16).max
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB`\x82"


class FolderWriter:
    """Writer of ``rgb/NAME.jpg`` and ``depth/NAME.png`` (millimeters), each atomically, then of ``split.csv``.

    A context manager: at its end, other processes may write to the folder.

    Args:
        begun_with: everything that the pairs depend on, kept in ``job.json``.

    Raises:
        FastDepthError: the folder holds pairs of another job, its ``job.json`` is damaged, or another process writes
            to it.
    """

    def __init__(self, root: Path, begun_with: Mapping[str, Any]) -> None:
        self._root, self._job = root, JobFolder(root, begun_with)
        for kind in ("rgb", "depth"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        self._job.claim(has_results=any((root / "depth").iterdir()))

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._job.release()

    def has(self, name: str) -> bool:
        """Whether both files of a pair are there and end as they should."""
        color = self._root / "rgb" / f"{name}.jpg"
        return _ends(color, JPEG_END) and _ends(self._depth(name), PNG_END)

    def add(self, name: str, rgb: np.ndarray, depth: np.ndarray) -> None:
        """One pair.

        Args:
            rgb: uint8 HxWx3.
            depth: float HxW meters; stored are 1 mm to 65.535 m, and 0 where it is NaN or not above 0.
        """
        millimeters = np.where(depth > 0, np.clip(depth * 1000, 1, MAX_MM).round(), 0).astype(np.uint16)
        color = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), QUALITY)[1]
        atomic_write(self._root / "rgb" / f"{name}.jpg", color.tobytes())
        atomic_write(self._depth(name), cv2.imencode(".png", millimeters)[1].tobytes())

    def finish(self, names: Sequence[str], settings: Mapping[str, Any] | None = None) -> None:
        """Say which pairs are the data set, all of them for training, and the settings of its ``dataset.json``."""
        if settings:
            atomic_write(self._root / "dataset.json", json.dumps(settings) + "\n")
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([("name", "split"), *((name, "train") for name in names)])
        atomic_write(self._root / "split.csv", table.getvalue())

    def _depth(self, name: str) -> Path:
        return self._root / "depth" / f"{name}.png"


def _ends(path: Path, end: bytes) -> bool:
    return path.exists() and path.read_bytes().endswith(end)
