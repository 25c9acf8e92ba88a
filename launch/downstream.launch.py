"""Consumers of depth from other packages: point clouds by depth_image_proc, a laser scan by depthimage_to_laserscan.

fastdepth.launch.py includes it; beside a node of several it starts by itself, in that node's namespace:
ros2 launch fastdepth_ros downstream.launch.py namespace:=front point_cloud:=xyz

They take depth/image, which a node with depth_encoding: 16UC1 does not publish.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from fastdepth_ros.ros_tools.launch_arguments import LaunchArgumentError, camera_info_topic, declared, is_on, values
from fastdepth_ros.ros_tools.launch_processes import check_programs

ARGUMENTS = declared(
    "image", "camera_info", "namespace", "point_cloud", "laser_scan", "scan_frame", "use_sim_time",
    docs={
        "image": "camera image topic, for xyzrgb",
        "namespace": "namespace of the fastdepth node",
        "use_sim_time": "take time from /clock",
    },
    use_sim_time="false",
)  # fmt: skip

DEPTH, INFO, POINTS = "depth/image", "depth/camera_info", "depth/points"


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    argument = values(context, ARGUMENTS)
    common = {"namespace": argument["namespace"], "output": "screen"}
    use_sim_time = {"use_sim_time": is_on(argument["use_sim_time"])}
    nodes = []
    if argument["point_cloud"] == "node":
        raise LaunchArgumentError("point_cloud:=node: set the parameter points of the node; this starts xyz or xyzrgb")
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
                    ("rgb/image_rect_color", argument["image"]),
                    ("rgb/camera_info", camera_info_topic(argument)),
                    ("points", POINTS),
                ],
                **common,
            )
        )
    if is_on(argument["laser_scan"]):
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
    check_programs(context, nodes)
    return nodes
