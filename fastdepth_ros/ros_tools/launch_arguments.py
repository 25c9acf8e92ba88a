"""Arguments of the launch files: one table, checked before a process starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch_ros.utilities import make_namespace_absolute, prefix_namespace
from rclpy.exceptions import NameValidationException
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_topic_name import validate_topic_name

from fastdepth_ros.depth.camera_info import camera_info_beside
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.parameters import complaint

SWITCH = ("true", "false", "True", "False", "1", "0")  # what launch itself takes for a boolean
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


class LaunchArgumentError(FastDepthError):
    """A launch argument that cannot be used; names it, its value and what is wrong."""


def _file(path: str) -> None:
    if not Path(path).is_file():
        raise FastDepthError("there is no such file")


def _exists(path: str) -> None:
    if not Path(path).exists():
        raise FastDepthError("there is no such file or folder")


def _topic(name: str) -> None:
    validate_topic_name(name)


def _topic_or_empty(name: str) -> None:
    if name:
        validate_topic_name(name)


def _namespace(name: str) -> None:
    absolute = make_namespace_absolute(prefix_namespace(None, name))
    if absolute:
        validate_namespace(absolute)


def _above_zero(text: str) -> None:
    if not 0 < float(text) < inf:
        raise FastDepthError("it must be a number above 0")


def _log_level(text: str) -> None:  # of one logger: NAME:=LEVEL
    if text.rpartition(":=")[2].lower() not in LOG_LEVELS:
        raise FastDepthError(f"it can be {', '.join(LOG_LEVELS)}")


def _parameter(name: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if text := value and complaint(name, value):
            raise FastDepthError(text)

    return check


@dataclass(frozen=True)
class _Argument:
    """`check` raises ValueError for what is not allowed; `choices` are checked by launch, and shown by --show-args."""

    doc: str
    default: str | None = ""  # None: has to be given
    choices: tuple[str, ...] = ()
    check: Callable[[str], None] | None = None


TABLE = {
    "image": _Argument("camera image topic", "image", check=_topic),
    "camera_info": _Argument(
        "camera_info topic; empty: camera_info in the namespace of the image topic", check=_topic_or_empty
    ),
    "namespace": _Argument("namespace of the node and of depth/image", check=_namespace),
    "backend": _Argument("engine that runs the network; empty: as in params_file", check=_parameter("backend")),
    "model": _Argument("artifact folder or name of a model; empty: as in params_file"),
    "image_transport": _Argument(
        "raw or compressed; empty: as in params_file", check=_parameter("image_transport")
    ),
    "params_file": _Argument("parameter file (YAML)", check=_file),
    "use_sim_time": _Argument(
        "take time from /clock, for every node of the launch; empty: as in params_file",
        choices=("", *SWITCH),
    ),
    "rviz": _Argument("start RViz with the configuration of this package", "false", SWITCH),
    "fixed_frame": _Argument("fixed frame of RViz: frame_id of the camera", "camera_optical_frame"),
    "respawn": _Argument(
        "start the node again when its process ends, as after a hung backend; the launch ends when the process "
        "ends within seconds of its start several times in a row",
        "true",
        SWITCH,
    ),
    "shared_memory": _Argument(
        "room for large images in the shared memory of Fast DDS, for the node and what is launched after it",
        "true",
        SWITCH,
    ),
    "point_cloud": _Argument(
        "point cloud depth/points; node: by the node itself, filtered for a costmap; xyz, xyzrgb: by depth_image_proc, "
        "where xyzrgb has the colors of the image and needs the parameter output_size: camera; none: as in params_file",
        "none",
        ("none", "node", "xyz", "xyzrgb"),
    ),
    "laser_scan": _Argument("laser scan from the rows around the horizon, by depthimage_to_laserscan", "false", SWITCH),
    "scan_frame": _Argument("frame_id of the scan, at the camera: x forward, z up", "camera_link"),
    "log_level": _Argument(
        "log level: debug, info, warn, error or fatal; for one logger NAME:=LEVEL", "info", check=_log_level
    ),
    "cameras": _Argument("list of cameras (YAML)", check=_file),
    "processes": _Argument(
        "one process for all cameras (less memory), or several (a camera that fails stops no other)",
        "one",
        ("one", "several"),
    ),
    "bag": _Argument("rosbag2 folder or ROS 1 .bag to play", None, check=_exists),
    "rate": _Argument("playback speed; 2.0: twice as fast", "1.0", check=_above_zero),
}  # fmt: skip


def no_shared_memory(argument: Mapping[str, str]) -> list[str]:
    """Argument of our executables, which take shared memory by themselves."""
    return [] if is_on(argument["shared_memory"]) else ["--no-shared-memory"]


def declared(*names: str, docs: dict[str, str] | None = None, **defaults: str) -> list[DeclareLaunchArgument]:
    """Arguments of the table, in this order.

    Args:
        docs: descriptions in place of the table's.
        defaults: values in place of the table's.
    """
    return [_declared(name, defaults.get(name, TABLE[name].default), (docs or {}).get(name)) for name in names]


def values(context: LaunchContext, arguments: Sequence[DeclareLaunchArgument]) -> dict[str, str]:
    """The arguments' values, each checked.

    Raises:
        LaunchArgumentError: with every value that cannot be used.
    """
    found = {argument.name: context.launch_configurations[argument.name] for argument in arguments}
    complaints = []
    for name, value in found.items():
        try:
            if check := TABLE[name].check:
                check(value)
        except (ValueError, NameValidationException) as error:
            complaints.append(f"{name}:={value}: {' '.join(str(error).split())}")
    if complaints:
        raise LaunchArgumentError("; ".join(complaints))
    return found


def is_on(value: str) -> bool:
    """Whether an argument with the choices SWITCH is on."""
    return value in ("true", "True", "1")


def full_name(context: LaunchContext, namespace: str, node: str) -> str:
    """Name of a node with its namespace, below that of the launch files around ours, as launch_ros makes it."""
    absolute = make_namespace_absolute(prefix_namespace(context.launch_configurations.get("ros_namespace"), namespace))
    return f"{(absolute or '').rstrip('/')}/{node}"


def camera_info_topic(argument: dict[str, str]) -> str:
    """Topic given as camera_info, else camera_info beside the image."""
    return argument["camera_info"] or camera_info_beside(argument["image"])


def _declared(name: str, default: str | None, doc: str | None) -> DeclareLaunchArgument:
    entry = TABLE[name]
    choices = [
        choice for choice in entry.choices if choice or not default
    ] or None  # empty only where it is the default
    return DeclareLaunchArgument(name, default_value=default, description=doc or entry.doc, choices=choices)
