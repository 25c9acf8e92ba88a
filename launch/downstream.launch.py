"""What other packages make of our depth: point clouds by depth_image_proc, a laser scan by depthimage_to_laserscan.

fastdepth.launch.py includes it; beside a node of several it starts by itself, in that node's namespace:
ros2 launch fastdepth_ros downstream.launch.py namespace:=front point_cloud:=xyz

They take depth/image, which a node with depth_encoding: 16UC1 does not publish.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = [
    DeclareLaunchArgument("image", default_value="image", description="camera image topic, for xyzrgb"),
    DeclareLaunchArgument(
        "camera_info", default_value="", description="camera_info topic; empty is camera_info beside the image topic"
    ),
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the fastdepth node"),
    DeclareLaunchArgument(
        "point_cloud",
        default_value="none",
        choices=["none", "xyz", "xyzrgb"],
        description="depth/points; xyzrgb in the colours of the image needs the parameter output_size: camera",
    ),
    DeclareLaunchArgument("laser_scan", default_value="false", description="scan, from the rows around the horizon"),
    DeclareLaunchArgument(
        "scan_frame", default_value="camera_link", description="frame of the scan, at the camera: x forward, z up"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="take time from /clock"),
]

DEPTH, INFO, POINTS = "depth/image", "depth/camera_info", "depth/points"


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    argument = {entry.name: LaunchConfiguration(entry.name).perform(context) for entry in ARGUMENTS}
    image = argument["image"]
    beside, slash, _ = image.rpartition("/")
    camera_info = argument["camera_info"] or f"{beside}{slash}camera_info"
    common = {"namespace": argument["namespace"], "output": "screen"}
    use_sim_time = {"use_sim_time": argument["use_sim_time"].lower() == "true"}
    nodes = []
    if argument["point_cloud"] == "xyz":
        nodes.append(
            Node(
                package="depth_image_proc",
                executable="point_cloud_xyz_node",
                name="point_cloud",
                parameters=[use_sim_time],
                # from Jazzy on, it takes camera_info beside the remapped image; Humble asks for the name itself
                remappings=[("image_rect", DEPTH), ("camera_info", INFO), ("points", POINTS)],
                **common,
            )
        )
    elif argument["point_cloud"] == "xyzrgb":
        nodes.append(
            Node(
                package="depth_image_proc",
                executable="point_cloud_xyzrgb_node",
                name="point_cloud",
                parameters=[use_sim_time, {"exact_sync": True}],  # depth has the stamp of its image
                remappings=[
                    ("depth_registered/image_rect", DEPTH),
                    ("rgb/image_rect_color", image),
                    ("rgb/camera_info", camera_info),
                    ("points", POINTS),
                ],
                **common,
            )
        )
    if argument["laser_scan"].lower() == "true":
        nodes.append(
            Node(
                package="depthimage_to_laserscan",
                executable="depthimage_to_laserscan_node",
                name="laser_scan",
                parameters=[use_sim_time, {"output_frame": argument["scan_frame"], "scan_height": 9}],
                remappings=[("depth", DEPTH), ("depth_camera_info", INFO)],
                **common,
            )
        )
    return nodes
