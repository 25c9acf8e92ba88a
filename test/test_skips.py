"""The house rules of the suite: a skip for a reason that is not listed fails the run, a name fits on a line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent / "conftest.py"


LONGEST_NAME = 70  # characters: what holds, on one line of a report


def run(folder: Path, *options: str, conftest: str = CONFTEST.read_text()) -> subprocess.CompletedProcess:
    (folder / "conftest.py").write_text(conftest)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # of colcon test
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_a_skip_for_a_reason_that_is_not_listed_fails_the_run(tmp_path):
    skips = {
        "listed": "def test_it(): pytest.skip('the shared data is absent')",
        "in_a_test": "def test_it(): pytest.skip('not today')",
        "of_a_module": "pytest.importorskip('absent_module', reason='not today')",
        "by_mark": "@pytest.mark.skip(reason='not today')\ndef test_it(): pass",
    }
    for name, skip in skips.items():
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n{skip}\ndef test_runs(): pass\n")
    finished = run(tmp_path)
    refused = {line.split()[2].rstrip(":") for line in finished.stdout.splitlines() if line.startswith("REFUSED SKIP")}
    assert finished.returncode == 1, finished.stdout
    assert {Path(place.partition("::")[0]).stem for place in refused} == {f"test_{name}" for name in list(skips)[1:]}


def test_a_module_that_is_promised_must_be_there(tmp_path):
    test = "import pytest\n@pytest.mark.needs('absent')\ndef test_it(): pass\ndef test_runs(): pass\n"
    (tmp_path / "test_it.py").write_text(test)
    source = CONFTEST.read_text().replace('"tvm is not', '"absent is not')
    assert source != CONFTEST.read_text()
    assert run(tmp_path, conftest=source).returncode == 0
    finished = run(tmp_path, "--installed", "absent", conftest=source)
    assert finished.returncode == 1 and "'absent is not installed', --installed promises it" in finished.stdout


def test_the_name_of_a_test_has_at_most_70_characters():
    names = {
        node.name
        for path in CONFTEST.parent.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert len(names) > 900
    assert sorted(name for name in names if len(name) > LONGEST_NAME) == []
