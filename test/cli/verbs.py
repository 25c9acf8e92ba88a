"""The verbs as a user types them, in this process, and the module that some need beyond a robot's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastdepth_ros.cli import VERBS, main

NEEDS = {
    "live": "rerun", "video": "av", "view": "rerun",
}  # fmt: skip
ALL_VERBS = [pytest.param(v, marks=[pytest.mark.needs(NEEDS[v])] if v in NEEDS else []) for v in VERBS]


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line with which a verb ends with exit code 1."""
    capsys.readouterr()
    assert run(*arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    line = printed.err.strip().splitlines()[-1]
    assert line.startswith(f"fastdepth {arguments[0]}: ")
    assert "Traceback" not in printed.err
    return line


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
