"""A `folder` data set, written pair by pair: a killed run goes on where it stopped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fastdepth_ros.data.datasets import DatasetError
from fastdepth_ros.jobs.atomic_io import write_whole

QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
MAX_MM = np.iinfo(np.uint16).max
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB`\x82"


class FolderWriter:
    """Writes ``rgb/NAME.jpg`` and ``depth/NAME.png`` (millimeters), each whole or not at all; ``split.csv`` last.

    Args:
        job: what the pairs are made of, kept in ``job.json``.

    Raises:
        DatasetError: the folder holds pairs of another job, or its ``job.json`` is damaged.
    """

    def __init__(self, root: Path, job: Mapping[str, Any]) -> None:
        self._root = root
        for kind in ("rgb", "depth"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        file, asked = root / "job.json", json.loads(json.dumps(job))
        begun = any((root / "depth").iterdir())
        try:
            found = json.loads(file.read_text()) if file.exists() else None
        except ValueError as error:
            if begun:
                raise DatasetError(
                    f"{file} is damaged ({error}): what its pairs are made of is lost; choose another folder"
                ) from error
            found = None
        if found != asked and begun:
            raise DatasetError(f"{root} holds pairs of another job ({file.name} differs); choose another folder")
        write_whole(file, json.dumps(asked, indent=2) + "\n")

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
        write_whole(self._root / "rgb" / f"{name}.jpg", color.tobytes())
        write_whole(self._depth(name), cv2.imencode(".png", millimeters)[1].tobytes())

    def finish(self, names: Sequence[str], settings: Mapping[str, Any] | None = None) -> None:
        """Say which pairs are the data set, all of them for training, and the settings of its ``dataset.json``."""
        if settings:
            write_whole(self._root / "dataset.json", json.dumps(settings) + "\n")
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([("name", "split"), *((name, "train") for name in names)])
        write_whole(self._root / "split.csv", table.getvalue())

    def _depth(self, name: str) -> Path:
        return self._root / "depth" / f"{name}.png"


def _ends(path: Path, end: bytes) -> bool:
    return path.exists() and path.read_bytes().endswith(end)
