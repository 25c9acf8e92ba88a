"""A `folder` data set, written pair by pair: a killed run goes on where it stopped."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fastdepth_ros.whole import write_whole

QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
MAX_MM = np.iinfo(np.uint16).max


class FolderWriter:
    """Writes ``rgb/NAME.jpg`` and ``depth/NAME.png`` (millimetres), each whole or not at all; ``split.csv`` last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for kind in ("rgb", "depth"):
            (root / kind).mkdir(parents=True, exist_ok=True)

    def has(self, name: str) -> bool:
        return self._depth(name).exists()

    def add(self, name: str, rgb: np.ndarray, depth: np.ndarray) -> None:
        """One pair.

        Args:
            rgb: uint8 HxWx3.
            depth: float HxW metres; stored are 1 mm to 65.535 m.
        """
        millimetres = np.clip(depth * 1000, 1, MAX_MM).round().astype(np.uint16)
        colour = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), QUALITY)[1]
        write_whole(self._root / "rgb" / f"{name}.jpg", colour.tobytes())
        write_whole(self._depth(name), cv2.imencode(".png", millimetres)[1].tobytes())

    def finish(self, names: Sequence[str]) -> None:
        """Say which pairs are the data set, all of them for training."""
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([("name", "split"), *((name, "train") for name in names)])
        write_whole(self._root / "split.csv", table.getvalue())

    def _depth(self, name: str) -> Path:
        return self._root / "depth" / f"{name}.png"
