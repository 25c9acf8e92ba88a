"""Play a bag through the node, on the bag's own time.

ros2 launch fastdepth_ros replay.launch.py bag:=DIR image:=/camera/image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("fastdepth_ros"))
PASSED_ON = {
    "image": ("/camera/image_raw", "image topic of the bag, without /compressed"),
    "camera_info": ("", "camera_info topic; empty is camera_info beside the image topic"),
    "image_transport": ("", "raw or compressed; empty leaves it to params_file"),
    "namespace": ("", "namespace of the node"),
    "backend": ("", "engine; empty leaves it to params_file"),
    "model": ("", "artefact; empty leaves it to params_file"),
    "params_file": (str(SHARE / "config" / "fastdepth.yaml"), "parameters, YAML"),
    "shared_memory": ("false", "room for large images in Fast DDS's shared memory; the player takes it anyway"),
    "respawn": ("true", "start the node anew where its process ends"),
    "point_cloud": ("none", "none, xyz or xyzrgb: depth/points, by depth_image_proc"),
    "laser_scan": ("false", "scan, by depthimage_to_laserscan"),
    "scan_frame": ("camera_link", "frame of the scan, at the camera: x forward, z up"),
    "rviz": ("false", "start RViz with our configuration"),
    "fixed_frame": ("camera_optical_frame", "RViz's fixed frame: the camera's frame_id"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}


def generate_launch_description() -> LaunchDescription:
    fastdepth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "fastdepth.launch.py")),
        launch_arguments={
            **{name: LaunchConfiguration(name) for name in PASSED_ON},
            "use_sim_time": "true",
        }.items(),
    )
    player = Node(
        package="fastdepth_ros",
        executable="bag_publisher",
        arguments=[LaunchConfiguration("bag"), "--clock", "--wait", "30", "--rate", LaunchConfiguration("rate")],
        output="screen",
        on_exit=Shutdown(reason="the bag has been played"),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="rosbag2 folder or ROS 1 .bag"),
            DeclareLaunchArgument("rate", default_value="1.0", description="speed, 2.0 is twice as fast"),
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in PASSED_ON.items()
            ),
            fastdepth,
            player,
        ]
    )
