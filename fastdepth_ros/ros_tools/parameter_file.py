"""A ROS parameter file: what it gives a node, and one parameter set without touching the rest."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import yaml

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import write_whole

_SECTION = "ros__parameters"
_NEW = "# Parameters of the fastdepth node.\n/**:\n  ros__parameters: {}\n"


def read_parameters(path: Path, node: str) -> dict[str, Any]:
    """Parameters that the file gives a node: of the sections that fit its name, wildcards too, a later one wins.

    Args:
        node: its full name, such as /robot/fastdepth.

    Raises:
        ValueError: the file is missing or not YAML.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FastDepthError(f"{path} cannot be read as a parameter file: {' '.join(str(error).split())}") from error
    given: dict[str, Any] = {}
    for section, parameters in _sections(content):
        if _fits(section, node):
            given |= parameters
    return given


def write_parameter(path: Path, name: str, value: str) -> None:
    """Set a parameter to a text, whole or not at all; comments stay, a missing file is made.

    The node that has the parameter gets it; where none has it, `/**`, or the file's only node.

    Raises:
        ValueError: the file is no parameter file, or it is not clear which of its nodes is meant.
    """
    # not on every robot
    from ruamel.yaml import YAML, YAMLError
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    editor = YAML()
    editor.preserve_quotes, editor.width = True, 1000
    try:
        content = editor.load(path.read_text() if path.exists() else _NEW)
    except (YAMLError, UnicodeDecodeError) as error:
        raise FastDepthError(f"{path} is not YAML: {error}") from error
    parameters = _parameters(path, content, name)
    parameters.fa.set_block_style()
    parameters[name] = DoubleQuotedScalarString(value)
    text = io.StringIO()
    editor.dump(content, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue())


def _parameters(path: Path, content: Any, name: str) -> Any:
    sections = dict(_sections(content))
    holders = [node for node, parameters in sections.items() if name in parameters]
    if not holders:
        holders = ["/**"] if "/**" in sections else list(sections)
    if not holders:
        raise FastDepthError(f"{path} is no parameter file: it has no {_SECTION}")
    if len(holders) > 1:
        raise FastDepthError(f"{path} has {', '.join(holders)}: it is not clear which of them {name} is of")
    return sections[holders[0]]


def _sections(content: Any, above: str = "") -> list[tuple[str, Any]]:
    """Parameters by node, of a file in which namespaces may hold nodes."""
    found = []
    for key, inside in content.items() if isinstance(content, dict) else ():
        if key == _SECTION and isinstance(inside, dict):
            found.append((above, inside))
        else:
            found += _sections(inside, f"{above}/{key}" if above else str(key))
    return found


def _fits(section: str, node: str) -> bool:
    """Whether a section is the node's, as rcl matches: `*` is one part of a name, `**` any number of them."""
    pattern = re.escape("/" + section.strip("/")).replace(r"/\*\*", "(/[^/]+)*").replace(r"\*", "[^/]+")
    return re.fullmatch(pattern, node) is not None
