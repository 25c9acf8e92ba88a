"""The fastdepth node, and RViz if asked.

ros2 launch fastdepth_ros fastdepth.launch.py image:=/camera/image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from fastdepth_ros.node.shared_memory import shared_memory_variables
from fastdepth_ros.ros_tools.launch_arguments import (
    camera_info_topic,
    declared,
    full_name,
    is_on,
    no_shared_memory,
    values,
)
from fastdepth_ros.ros_tools.launch_processes import Ending, Respawn, check_programs
from fastdepth_ros.ros_tools.parameter_file import read_parameters

SHARE = Path(get_package_share_directory("fastdepth_ros"))
OWN_POINTS = "node"  # what point_cloud is where the node makes the points itself
DOWNSTREAM = ("image", "camera_info", "namespace", "laser_scan", "scan_frame")
ARGUMENTS = declared(
    "image", "camera_info", "namespace", "backend", "model", "image_transport", "params_file", "use_sim_time", "rviz",
    "fixed_frame", "respawn", "shared_memory", "point_cloud", "laser_scan", "scan_frame", "log_level",
    params_file=str(SHARE / "config" / "fastdepth.yaml"),
)  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[Action]:
    """All that is started, our node last: launch leaves a process behind if what comes after it cannot be started."""
    argument = values(context, ARGUMENTS)
    use_sim_time = _use_sim_time(context, argument)
    ending = Ending()
    rviz = [_rviz(argument, use_sim_time)] if is_on(argument["rviz"]) else []
    node = _node(argument, Respawn(is_on(argument["respawn"]), ending))
    check_programs(context, [*rviz, *node])
    variables = shared_memory_variables() if is_on(argument["shared_memory"]) else {}
    downstream = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "downstream.launch.py")),
        launch_arguments=[
            *((name, argument[name]) for name in DOWNSTREAM),
            ("point_cloud", "none" if argument["point_cloud"] == OWN_POINTS else argument["point_cloud"]),
            ("use_sim_time", str(use_sim_time).lower()),
        ],
    )
    set_variables = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    return [*set_variables, *ending.watch(), downstream, *rviz, *node]


def _use_sim_time(context: LaunchContext, argument: dict[str, str]) -> bool:
    """The node's, which what is started beside it needs too."""
    node = full_name(context, argument["namespace"], "fastdepth")
    in_file = read_parameters(Path(argument["params_file"]), node)  # also so that a bad file ends the launch
    return is_on(argument["use_sim_time"]) if argument["use_sim_time"] else in_file.get("use_sim_time") is True


def _node(argument: dict[str, str], respawn: Respawn) -> list[Action]:
    """An argument that is empty overrides nothing of the parameter file."""
    overrides: dict[str, str | bool] = {
        name: argument[name] for name in ("backend", "model", "image_transport") if argument[name]
    }
    if argument["use_sim_time"]:
        overrides["use_sim_time"] = is_on(argument["use_sim_time"])
    if argument["point_cloud"] != "none":  # the topic depth/points has one publisher, whatever params_file says
        overrides["points"] = argument["point_cloud"] == OWN_POINTS
    return respawn.node(
        package="fastdepth_ros",
        executable="fastdepth_node",
        name="fastdepth",
        namespace=argument["namespace"],
        parameters=[argument["params_file"], overrides],
        remappings=[("image", argument["image"]), ("camera_info", camera_info_topic(argument))],
        arguments=[*no_shared_memory(argument), "--ros-args", "--log-level", argument["log_level"]],
        output="screen",
    )


def _rviz(argument: dict[str, str], use_sim_time: bool) -> Node:
    image, namespace = argument["image"], argument["namespace"].strip("/")
    prefix = f"/{namespace}" if namespace else ""
    topics = ("depth/image", "depth/camera_info", "depth/image_color")
    seen = image if image.startswith("/") else f"{prefix}/{image}"
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(SHARE / "rviz" / "fastdepth.rviz"), "-f", argument["fixed_frame"]],
        parameters=[{"use_sim_time": use_sim_time}],
        remappings=[("/camera/image_raw", seen), *((f"/{topic}", f"{prefix}/{topic}") for topic in topics)],
    )
