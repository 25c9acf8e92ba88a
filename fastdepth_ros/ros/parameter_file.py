"""One parameter in a ROS parameter file, set without touching the rest."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from fastdepth_ros.whole import write_whole

_SECTION = "ros__parameters"
_NEW = "# Parameters of the fastdepth node.\n/**:\n  ros__parameters: {}\n"


def write_parameter(path: Path, name: str, value: str) -> None:
    """Set a parameter to a text, whole or not at all; comments stay, a missing file is made.

    The node that has the parameter gets it; where none has it, `/**`, or the file's only node.

    Raises:
        ValueError: the file is no parameter file, or it is not clear which of its nodes is meant.
    """
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1000
    try:
        content = yaml.load(path.read_text() if path.exists() else _NEW)
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    parameters = _parameters(path, content, name)
    parameters.fa.set_block_style()
    parameters[name] = DoubleQuotedScalarString(value)
    text = io.StringIO()
    yaml.dump(content, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue())


def _parameters(path: Path, content: Any, name: str) -> Any:
    sections = dict(_sections(content))
    holders = [node for node, parameters in sections.items() if name in parameters]
    if not holders:
        holders = ["/**"] if "/**" in sections else list(sections)
    if not holders:
        raise ValueError(f"{path} is no parameter file: it has no {_SECTION}")
    if len(holders) > 1:
        raise ValueError(f"{path} has {', '.join(holders)}: it is not clear which of them {name} is of")
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
