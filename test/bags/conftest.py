"""A small bag in every format."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import BAGS


@pytest.fixture(params=BAGS)
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return BAGS[request.param](tmp_path)


@pytest.fixture
def mcap_bag(tmp_path: Path) -> Path:
    return BAGS["mcap"](tmp_path)
