"""A fastdepth node for each camera of a list, in one process or in several.

ros2 launch fastdepth_ros multi_camera.launch.py cameras:=/path/to/cameras.yaml
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from fastdepth_ros.ros.camera_list import read_cameras
from fastdepth_ros.ros.shared_memory import shared_memory_variables

SHARE = Path(get_package_share_directory("fastdepth_ros"))

ARGUMENTS = [
    DeclareLaunchArgument(
        "cameras", default_value=str(SHARE / "config" / "cameras.yaml"), description="list of cameras, YAML"
    ),
    DeclareLaunchArgument(
        "processes",
        default_value="one",
        choices=["one", "several"],
        description="one loads Python and the engine once; in several, a camera that fails takes no other along",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config" / "fastdepth.yaml"),
        description="parameters of every node, YAML; those in the list win",
    ),
    DeclareLaunchArgument(
        "respawn", default_value="true", description="start a process anew where it ends, as after a hung backend"
    ),
    DeclareLaunchArgument(
        "shared_memory", default_value="false", description="room for large images in Fast DDS's shared memory"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="take time from /clock"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_processes)])


def _processes(context: LaunchContext) -> list[Action]:
    argument = {entry.name: LaunchConfiguration(entry.name).perform(context) for entry in ARGUMENTS}
    cameras = argument["cameras"]
    names = [camera.name for camera in read_cameras(Path(cameras))]  # also so that a bad list ends the launch
    chosen = [[]] if argument["processes"] == "one" else [["--only", name] for name in names]
    variables = shared_memory_variables() if argument["shared_memory"].lower() == "true" else {}
    actions: list[Action] = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    actions += [
        Node(
            package="fastdepth_ros",
            executable="fastdepth_cameras",
            arguments=[cameras, *only, "--ros-args", "--log-level", argument["log_level"]],
            parameters=[argument["params_file"], {"use_sim_time": argument["use_sim_time"].lower() == "true"}],
            output="screen",
            respawn=argument["respawn"].lower() == "true",
            respawn_delay=2.0,
        )
        for only in chosen
    ]
    return actions
