"""List of the cameras of one machine (YAML), and the share of its cores for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from fastdepth_ros.depth.camera_info import camera_info_beside
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.parameters import Settings, complaint
from fastdepth_ros.node.subscription import check_topic

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NAMESPACE = re.compile(r"/?([A-Za-z][A-Za-z0-9_]*/)*[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class ListedCamera:
    """One camera of the list, with its node.

    Args:
        name: unique in the list.
        image: image topic, relative to the namespace or absolute.
        camera_info: camera_info topic; empty is camera_info in the namespace of the image.
        namespace: namespace of the node and its topics; empty is the name.
        parameters: parameters of this node; they win over a parameter file.
    """

    name: str
    image: str
    camera_info: str = ""
    namespace: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def node_namespace(self) -> str:
        return self.namespace or self.name

    @property
    def remappings(self) -> list[tuple[str, str]]:
        return [("image", self.image), ("camera_info", self.camera_info or camera_info_beside(self.image))]


def read_cameras(path: Path) -> list[ListedCamera]:
    """The cameras of a file: `cameras:`, and below it for each the fields of `ListedCamera`.

    Raises:
        FastDepthError: missing, not YAML, empty, or something in it that is not allowed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FastDepthError(f"{path} cannot be read as a list of cameras: {' '.join(str(error).split())}") from error
    entries = content.get("cameras") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise FastDepthError(f"{path} has no list `cameras:` with at least one camera")
    cameras = [_camera(path, number, entry) for number, entry in enumerate(entries, 1)]
    for kind in ("name", "node_namespace"):
        values = [getattr(camera, kind).strip("/") for camera in cameras]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise FastDepthError(f"{path}: {', '.join(twice)} is there twice; each camera needs a name of its own")
    return cameras


def thread_share(cameras: Sequence[ListedCamera], cores: int) -> int:
    """Number of threads of a camera that names none: an equal share of the cores that the others leave, at least 1."""
    given = [camera.parameters.get("threads", 0) for camera in cameras]
    return max(1, (cores - sum(given)) // max(1, given.count(0)))


def _camera(path: Path, number: int, entry: Any) -> ListedCamera:
    where = f"{path}: camera {number}"
    known = [one.name for one in fields(ListedCamera)]
    if not isinstance(entry, dict) or not {"name", "image"} <= entry.keys() <= set(known):
        raise FastDepthError(f"{where} is {entry!r}; it needs name and image, and may have {', '.join(known[2:])}")
    texts = {name: entry.get(name, "") for name in known[:-1]}
    parameters = entry.get("parameters") or {}
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(parameters, dict):
        raise FastDepthError(f"{where}: {', '.join(texts)} are texts, parameters are pairs of name and value")
    camera = ListedCamera(**texts, parameters=parameters)
    if not _NAME.fullmatch(camera.name) or not camera.image:
        raise FastDepthError(f"{where}: name {camera.name!r} must be letters, digits and _, image not empty")
    if not _NAMESPACE.fullmatch(camera.node_namespace):
        raise FastDepthError(f"{where}: {camera.namespace!r} is no namespace")
    for topic in filter(None, (camera.image, camera.camera_info)):
        try:
            check_topic(topic)
        except FastDepthError as error:
            raise FastDepthError(f"{where}: {error}") from error
    _check_parameters(f"{path}: {camera.name}", parameters)
    return camera


def _check_parameters(where: str, parameters: Mapping[str, Any]) -> None:
    kinds = {one.name: None if one.metadata["check"] else type(one.default) for one in fields(Settings)}
    for name, value in parameters.items():
        if name.startswith("qos_overrides."):  # of any topic; rclpy checks them
            continue
        if name not in kinds:
            raise FastDepthError(f"{where}: there is no parameter {name!r}, there is {', '.join(kinds)}")
        if (kind := kinds[name]) and type(value) is not kind:
            raise FastDepthError(f"{where}: {name} is {value!r}, it should be of type {kind.__name__}")
        if text := complaint(name, value):
            raise FastDepthError(f"{where}: {text}")
