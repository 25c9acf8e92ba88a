"""A data set nyu-labeled of small pairs on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_pairs(root: Path, count: int, *, first: int = 0, tests: int = 0) -> Path:
    """Pairs of 80x60 whose brightness tells the distance; the last `tests` of them are for testing."""
    (root / "rgb").mkdir()
    (root / "depth").mkdir()
    rng, rows = np.random.default_rng(0), ["index,split\n"]
    for index in range(first, first + count):
        far = cv2.resize(rng.integers(10, 200, (4, 5), dtype=np.uint8), (80, 60), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(root / "depth" / f"{index:04d}.png"), far)
        cv2.imwrite(str(root / "rgb" / f"{index:04d}.jpg"), cv2.merge([far, 255 - far, far // 2]))
        rows.append(f"{index},{'test' if index >= first + count - tests else 'train'}\n")
    (root / "split.csv").write_text("".join(rows))
    return root
