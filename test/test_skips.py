"""The guard over skips: a reason that is not listed fails the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"


@pytest.mark.parametrize(
    ("test", "exit_code"),
    [
        ("import pytest\ndef test_it(): pytest.skip('the shared data is absent')", 0),
        ("import pytest\ndef test_it(): pytest.skip('not today')", 1),
        ("import pytest\npytest.importorskip('absent_module', reason='not today')", 1),
        ("import pytest\n@pytest.mark.skip(reason='not today')\ndef test_it(): pass", 1),
    ],
    ids=["listed", "in a test", "of a module", "by mark"],
)
def test_a_skip_for_a_reason_that_is_not_listed_fails_the_run(tmp_path, test, exit_code):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(f"{test}\ndef test_runs(): pass\n" if "importorskip" not in test else test)
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n")
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)], capture_output=True, text=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == exit_code, finished.stdout
    assert ("REFUSED SKIP" in finished.stdout) is bool(exit_code)
