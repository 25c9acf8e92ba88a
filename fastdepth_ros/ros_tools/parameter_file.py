"""A ROS parameter file: what it gives a node, and one parameter set without touching the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write

_SECTION = "ros__parameters"
_NEW = "# Parameters of the fastdepth node.\n/**:\n  ros__parameters: {}\n"


def read_parameters(path: Path, node: str) -> dict[str, Any]:
    """Parameters of a node in a file: of the sections that match its name, wildcards too, the last one wins.

    Args:
        node: its full name, such as /robot/fastdepth.

    Raises:
        ValueError: the file is missing or not YAML.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FastDepthError(f"{path} cannot be read as a parameter file: {' '.join(str(error).split())}") from error
    given: dict[str, Any] = {}
    for section, parameters in _sections(content):
        if _fits(section, node):
            given |= parameters
    return given


def write_parameter(path: Path, name: str, value: str) -> None:
    """Set a parameter to a text, atomically; comments stay, a missing file is made.

    The node that has the parameter gets it; where none has it, `/**`, or the file's only node.

    Raises:
        ValueError: the file is no parameter file, or it is not clear which of its nodes is meant.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else _NEW
        content = _with_nodes(yaml.compose(text, yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FastDepthError(f"{path} is not YAML: {error}") from error
    parameters = _parameters(path, content, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, _with_parameter(path, text, parameters, name, json.dumps(value)))


class _Mapping(dict[str, Any]):
    """Mapping of a YAML file, with the node that says where it is."""

    def __init__(self, node: yaml.MappingNode) -> None:
        super().__init__((key.value, _with_nodes(value)) for key, value in node.value)
        self.node = node


def _with_nodes(node: yaml.Node | None) -> _Mapping | yaml.Node | None:
    return _Mapping(node) if isinstance(node, yaml.MappingNode) else node


def _with_parameter(path: Path, text: str, parameters: _Mapping, name: str, value: str) -> str:
    """The text of a file with one value replaced, or one entry more."""
    node = parameters.node
    if name in parameters:
        old = next(inside for key, inside in node.value if key.value == name)
        if not isinstance(old, yaml.ScalarNode) or old.style in ("|", ">"):
            raise FastDepthError(f"{path}: {name} is not a single value on a line")
        begin, end, new = old.start_mark.index, old.end_mark.index, value
        if begin == end:  # nothing behind the colon
            new = f" {value}"
    elif node.value:
        begin = end = node.value[0][0].start_mark.index
        new = f"{name}: {value}" + (", " if node.flow_style else "\n" + " " * node.value[0][0].start_mark.column)
    else:
        begin, end, new = node.start_mark.index, node.end_mark.index, f"{{{name}: {value}}}"
    return text[:begin] + new + text[end:]


def _parameters(path: Path, content: Any, name: str) -> _Mapping:
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
