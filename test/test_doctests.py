"""Every example in a docstring of the package computes what it shows."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = [path for path in sorted((ROOT / "fastdepth_ros").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
OPTIONAL = ("torch", "rclpy", "launch", "onnx", "tvm", "openvino", "ai_edge_litert", "ray", "av", "rerun")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_examples_of_a_module_hold(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{(error.name or '').partition('.')[0]} is not installed")
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    written = re.findall(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.M)
    assert found.failed == 0
    assert found.attempted == len(written), "an example is where doctest does not look"
