"""Play a bag through the node, on the bag's own time.

ros2 launch fastdepth_ros replay.launch.py bag:=DIR image:=/camera/image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from fastdepth_ros.ros_tools.launch_arguments import declared, is_on, values
from fastdepth_ros.ros_tools.launch_processes import Ending, check_programs

SHARE = Path(get_package_share_directory("fastdepth_ros"))
ARGUMENTS = declared(
    "bag", "rate", "image", "camera_info", "image_transport", "namespace", "backend", "model", "params_file",
    "use_sim_time", "shared_memory", "respawn", "point_cloud", "laser_scan", "scan_frame", "rviz", "fixed_frame",
    "log_level",
    docs={
        "image": "image topic of the bag, without /compressed",
        "use_sim_time": "take the time of the bag from /clock; false: replace its stamps by the present time",
        "shared_memory": "larger shared memory of Fast DDS for large images; the player always has it",
    },
    image="/camera/image_raw",
    params_file=str(SHARE / "config" / "fastdepth.yaml"),
    use_sim_time="true",
)  # fmt: skip
OWN = ("bag", "rate")


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[Action]:
    """The player last: what can fail in fastdepth.launch.py does so before its first process."""
    argument = values(context, ARGUMENTS)
    argument["use_sim_time"] = str(is_on(argument["use_sim_time"])).lower()
    ending = Ending()
    player = _player(argument, ending)
    check_programs(context, [player])
    fastdepth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "fastdepth.launch.py")),
        launch_arguments=[(name, value) for name, value in argument.items() if name not in OWN],
    )
    return [*ending.watch(), fastdepth, player]


def _player(argument: dict[str, str], ending: Ending) -> Node:
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action] | None:
        if context.is_shutdown:
            return None
        if event.returncode:
            return ending.fail(f"the bag was not played: bag_player ended with exit code {event.returncode}")
        return [Shutdown(reason="the bag has been played")]

    time = "--clock" if is_on(argument["use_sim_time"]) else "--restamp"
    return Node(
        package="fastdepth_ros",
        executable="bag_player",
        arguments=[argument["bag"], time, "--wait", "30", "--rate", argument["rate"]],
        output="screen",
        on_exit=on_exit,
    )
