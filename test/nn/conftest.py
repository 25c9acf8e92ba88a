"""Checkpoints of the authors' code, and an image, for the tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def rgb() -> Any:
    import torch

    return torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A good checkpoint that a test can spoil."""
    from authors_models import authors_code, save, skip_add

    with authors_code(tmp_path) as models:
        return save(skip_add(models), tmp_path / "good.pth.tar")
