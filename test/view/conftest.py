"""A recording that every test of the view may read."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import write_recording


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("bags") / "flight")
