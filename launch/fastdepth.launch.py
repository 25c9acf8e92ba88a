"""The fastdepth node, and RViz if asked.

ros2 launch fastdepth_ros fastdepth.launch.py image:=/camera/image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from fastdepth_ros.ros.shared_memory import shared_memory_variables

SHARE = Path(get_package_share_directory("fastdepth_ros"))
RESPAWN_DELAY_S = 2.0

ARGUMENTS = [
    DeclareLaunchArgument("image", default_value="image", description="camera image topic"),
    DeclareLaunchArgument(
        "camera_info", default_value="", description="camera_info topic; empty is camera_info beside the image topic"
    ),
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and of depth/image"),
    DeclareLaunchArgument("backend", default_value="", description="engine; empty leaves it to params_file"),
    DeclareLaunchArgument("model", default_value="", description="artefact; empty leaves it to params_file"),
    DeclareLaunchArgument(
        "image_transport", default_value="", description="raw or compressed; empty leaves it to params_file"
    ),
    DeclareLaunchArgument(
        "params_file", default_value=str(SHARE / "config" / "fastdepth.yaml"), description="parameters, YAML"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="take time from /clock"),
    DeclareLaunchArgument("rviz", default_value="false", description="start RViz with our configuration"),
    DeclareLaunchArgument(
        "fixed_frame", default_value="camera_optical_frame", description="RViz's fixed frame: the camera's frame_id"
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        description="start the node anew where its process ends, as after a hung backend",
    ),
    DeclareLaunchArgument(
        "shared_memory",
        default_value="false",
        description="room for large images in Fast DDS's shared memory, for this node and what is launched after it",
    ),
    DeclareLaunchArgument(
        "point_cloud", default_value="none", description="none, xyz or xyzrgb: depth/points, by depth_image_proc"
    ),
    DeclareLaunchArgument("laser_scan", default_value="false", description="scan, by depthimage_to_laserscan"),
    DeclareLaunchArgument(
        "scan_frame", default_value="camera_link", description="frame of the scan, at the camera: x forward, z up"
    ),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    passed_on = ("image", "camera_info", "namespace", "use_sim_time", "point_cloud", "laser_scan", "scan_frame")
    downstream = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "downstream.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in passed_on}.items(),
    )
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_nodes), downstream])


def _nodes(context: LaunchContext) -> list[Action]:
    """The nodes, once the arguments have values: an empty one must not override the parameter file."""
    argument = {entry.name: LaunchConfiguration(entry.name).perform(context) for entry in ARGUMENTS}
    image, namespace = argument["image"], argument["namespace"]
    beside, slash, _ = image.rpartition("/")
    camera_info = argument["camera_info"] or f"{beside}{slash}camera_info"
    overrides = {name: argument[name] for name in ("backend", "model", "image_transport") if argument[name]}
    use_sim_time = {"use_sim_time": argument["use_sim_time"].lower() == "true"}
    wants_memory = argument["shared_memory"].lower() == "true"
    variables = shared_memory_variables() if wants_memory else {}
    actions: list[Action] = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    actions.append(
        Node(
            package="fastdepth_ros",
            executable="fastdepth_node",
            name="fastdepth",
            namespace=namespace,
            parameters=[argument["params_file"], overrides, use_sim_time],
            remappings=[("image", image), ("camera_info", camera_info)],
            arguments=["--ros-args", "--log-level", argument["log_level"]],
            output="screen",
            respawn=argument["respawn"].lower() == "true",
            respawn_delay=RESPAWN_DELAY_S,
        )
    )
    if argument["rviz"].lower() == "true":
        prefix = f"/{namespace.strip('/')}" if namespace else ""
        topics = ("depth/image", "depth/camera_info", "depth/image_color")
        seen = image if image.startswith("/") else f"{prefix}/{image}"
        actions.append(
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", str(SHARE / "rviz" / "fastdepth.rviz"), "-f", argument["fixed_frame"]],
                parameters=[use_sim_time],
                remappings=[("/camera/image_raw", seen), *((f"/{topic}", f"{prefix}/{topic}") for topic in topics)],
            )
        )
    return actions
