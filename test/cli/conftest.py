"""Fixtures that several verbs use."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    """nyu-labeled with two pairs for testing and eight for training, in view from 1.3 m on."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for folder in ("rgb", "depth"):
        (root / folder).mkdir()
    for index in range(1, 11):
        color = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (160, 120))
        cv2.imwrite(str(root / "rgb" / f"{index:04d}.jpg"), color)
        cv2.imwrite(str(root / "depth" / f"{index:04d}.png"), rng.integers(33, 100, (120, 160), dtype=np.uint8))
    rows = "".join(f"{index},{'test' if index < 3 else 'train'}\n" for index in range(1, 11))
    (root / "split.csv").write_text("index,split\n" + rows)
    return root
