"""A fastdepth node for each camera of a list, in one process or in several.

ros2 launch fastdepth_ros multi_camera.launch.py cameras:=/path/to/cameras.yaml
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction, SetEnvironmentVariable

from fastdepth_ros.node.camera_list import read_cameras
from fastdepth_ros.node.shared_memory import shared_memory_variables
from fastdepth_ros.ros_tools.launch_arguments import declared, is_on, no_shared_memory, values
from fastdepth_ros.ros_tools.launch_processes import Ending, Respawn, check_programs
from fastdepth_ros.ros_tools.parameter_file import read_parameters

SHARE = Path(get_package_share_directory("fastdepth_ros"))
ARGUMENTS = declared(
    "cameras", "processes", "params_file", "respawn", "shared_memory", "use_sim_time", "log_level",
    docs={
        "params_file": "parameter file (YAML) of every node; parameters in the list win",
        "use_sim_time": "take time from /clock; empty: as in params_file",
    },
    cameras=str(SHARE / "config" / "cameras.yaml"),
    params_file=str(SHARE / "config" / "fastdepth.yaml"),
)  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_processes)])


def _processes(context: LaunchContext) -> list[Action]:
    argument = values(context, ARGUMENTS)
    names = [
        camera.name for camera in read_cameras(Path(argument["cameras"]))
    ]  # also so that a bad list ends the launch
    read_parameters(Path(argument["params_file"]), "/fastdepth")  # or a bad parameter file
    chosen = [[]] if argument["processes"] == "one" else [["--only", name] for name in names]
    ending = Ending()
    respawn = Respawn(is_on(argument["respawn"]), ending)
    nodes = [action for only in chosen for action in _cameras(argument, only, respawn)]
    check_programs(context, nodes)
    variables = shared_memory_variables() if is_on(argument["shared_memory"]) else {}
    return [*(SetEnvironmentVariable(name, value) for name, value in variables.items()), *ending.watch(), *nodes]


def _cameras(argument: dict[str, str], only: list[str], respawn: Respawn) -> list[Action]:
    given = argument["use_sim_time"]
    return respawn.node(
        package="fastdepth_ros",
        executable="fastdepth_cameras",
        arguments=[
            argument["cameras"],
            *only,
            *no_shared_memory(argument),
            "--ros-args",
            "--log-level",
            argument["log_level"],
        ],  # fmt: skip
        parameters=[argument["params_file"], *([{"use_sim_time": is_on(given)}] if given else [])],
        output="screen",
    )
