"""Published topics fit the packages downstream: names, types, encodings, QoS, stamps, parameters.

Their interfaces, as their sources say them (Jazzy):
  depth_image_proc         github.com/ros-perception/image_pipeline, depth_image_proc/src/point_cloud_xyz.cpp,
                           point_cloud_xyzrgb.cpp, doc/components.rst
  depthimage_to_laserscan  github.com/ros-perception/depthimage_to_laserscan, src/DepthImageToLaserScanROS.cpp
  nav2_costmap_2d          github.com/ros-navigation/navigation2, nav2_costmap_2d/plugins/obstacle_layer.cpp,
                           voxel_layer.cpp
  nav2_collision_monitor   the same, nav2_collision_monitor/src/collision_monitor_node.cpp, polygon.cpp, source.cpp,
                           pointcloud.cpp
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAYER_PARAMETERS = {
    "nav2_costmap_2d::ObstacleLayer": {
        "plugin", "enabled", "footprint_clearing_enabled", "min_obstacle_height", "max_obstacle_height",
        "combination_method", "observation_sources", "tf_filter_tolerance",
    },
    "nav2_costmap_2d::InflationLayer": {
        "plugin", "enabled", "inflation_radius", "cost_scaling_factor", "inflate_unknown", "inflate_around_unknown",
    },
}  # fmt: skip
LAYER_PARAMETERS["nav2_costmap_2d::VoxelLayer"] = LAYER_PARAMETERS["nav2_costmap_2d::ObstacleLayer"] | {
    "z_voxels", "origin_z", "z_resolution", "unknown_threshold", "mark_threshold", "publish_voxel_map",
}  # fmt: skip
SOURCE_PARAMETERS = {
    "topic": str, "sensor_frame": str, "observation_persistence": float, "expected_update_rate": float,
    "data_type": str, "min_obstacle_height": float, "max_obstacle_height": float, "inf_is_valid": bool,
    "marking": bool, "clearing": bool, "obstacle_max_range": float, "obstacle_min_range": float,
    "raytrace_max_range": float, "raytrace_min_range": float,
}  # fmt: skip
MONITOR_PARAMETERS = {
    "base_frame_id", "odom_frame_id", "cmd_vel_in_topic", "cmd_vel_out_topic", "state_topic", "transform_tolerance",
    "source_timeout", "base_shift_correction", "stop_pub_timeout", "polygons", "observation_sources",
}  # fmt: skip
ZONE_PARAMETERS = {
    "type", "points", "action_type", "min_points", "slowdown_ratio", "linear_limit", "angular_limit", "visualize",
    "polygon_pub_topic", "enabled", "footprint_topic", "time_before_collision", "simulation_time_step",
}  # fmt: skip
MONITOR_SOURCE_PARAMETERS = {"type", "topic", "enabled", "source_timeout", "min_height", "max_height"}
PUBLISHED = {"/depth/points": "PointCloud2", "/scan": "LaserScan"}  # by the node, by launch/downstream.launch.py


@dataclass(frozen=True)
class Program:
    """Topics by the names in its sources, and its parameters."""

    package: str
    subscribed: tuple[str, ...]
    published: tuple[str, ...]
    parameters: tuple[str, ...]


PROGRAMS = {
    "point_cloud_xyz_node": Program(
        "depth_image_proc", ("image_rect", "camera_info"), ("points",),
        ("depth_image_transport", "queue_size", "invalid_depth"),
    ),
    "point_cloud_xyzrgb_node": Program(
        "depth_image_proc", ("depth_registered/image_rect", "rgb/image_rect_color", "rgb/camera_info"), ("points",),
        ("image_transport", "depth_image_transport", "queue_size", "exact_sync", "invalid_depth"),
    ),
    "depthimage_to_laserscan_node": Program(
        "depthimage_to_laserscan", ("depth", "depth_camera_info"), ("scan",),
        ("scan_time", "range_min", "range_max", "scan_height", "output_frame"),
    ),
}  # fmt: skip
ENCODINGS = {"32FC1", "16UC1"}  # of all three


def test_the_nodes_depth_has_the_types_encoding_stamps_and_qos_asked_for(graph, artifact_folder):
    from rclpy import qos
    from ros_graph import CameraDriver, Listener, picture, wait_until
    from sensor_msgs.msg import CameraInfo, Image

    graph.activated(artifact_folder)
    depths, infos = Listener(graph, "/depth/image", Image), Listener(graph, "/depth/camera_info", CameraInfo)
    camera = CameraDriver(graph)
    camera.wait()
    camera.send_info(3)
    camera.send(3, picture(480, 640))
    wait_until(lambda: depths.heard and infos.heard, "depth and camera_info")
    depth, info = depths.heard[0], infos.heard[0]
    assert depth.encoding in ENCODINGS
    assert depth.header == info.header  # one synchronizer wants equal stamps, TF wants the frame
    assert (depth.height, depth.width) == (info.height, info.width)
    fx, cx, cy = info.p[0], info.p[2], info.p[6]  # PinholeCameraModel takes them from P
    assert fx > 0 and 0 < cx < info.width and 9 / 2 < cy < info.height - 9 / 2  # scan_height rows fit around cy
    assert np.nanmax(np.frombuffer(depth.data, np.float32)) > 0
    asked = [qos.qos_profile_system_default, qos.QoSProfile(depth=10, reliability=qos.ReliabilityPolicy.RELIABLE)]
    for topic, kind in (("image", "Image"), ("camera_info", "CameraInfo")):
        (publisher,) = graph.peer.get_publishers_info_by_topic(f"/depth/{topic}")
        assert publisher.topic_type == f"sensor_msgs/msg/{kind}"
        for profile in asked:
            compatibility, reason = qos.qos_check_compatible(publisher.qos_profile, profile)
            assert compatibility != qos.QoSCompatibility.ERROR, reason


def test_the_costmaps_layers_have_parameters_of_nav2_and_published_topics():
    content = yaml.safe_load((ROOT / "config" / "nav2_costmap.yaml").read_text())
    parameters = content["local_costmap"]["local_costmap"]["ros__parameters"]
    layers = {name: layer for name, layer in parameters.items() if isinstance(layer, dict)}
    assert set(parameters["plugins"]) <= set(layers)
    heard = {}
    for layer in layers.values():
        sources = layer.get("observation_sources", "").split()
        assert set(layer) - set(sources) <= LAYER_PARAMETERS[layer["plugin"]]
        for source in (layer[name] for name in sources):
            assert all(type(value) is SOURCE_PARAMETERS[name] for name, value in source.items())
            assert source["max_obstacle_height"] > source.get("min_obstacle_height", 0.0)
            assert source["obstacle_max_range"] <= source["raytrace_max_range"]
            heard[source["topic"]] = source["data_type"]
    assert heard == PUBLISHED


def test_the_collision_monitor_has_nav2s_parameters_and_the_points_topic():
    content = yaml.safe_load((ROOT / "config" / "nav2_collision_monitor.yaml").read_text())
    parameters = content["collision_monitor"]["ros__parameters"]
    zones, sources = parameters["polygons"], parameters["observation_sources"]
    assert set(parameters) - {*zones, *sources} <= MONITOR_PARAMETERS
    for zone in (parameters[name] for name in zones):
        assert set(zone) <= ZONE_PARAMETERS and zone["action_type"] in ("stop", "slowdown", "limit", "approach")
        corners = yaml.safe_load(zone["points"])  # Jazzy reads a text of pairs
        assert len(corners) >= 3 and all(len(corner) == 2 for corner in corners)
    (points,) = (parameters[name] for name in sources)
    assert set(points) <= MONITOR_SOURCE_PARAMETERS and points["topic"] == "/depth/points"
    assert points["type"] == "pointcloud" and points["min_height"] < points["max_height"]


@pytest.mark.parametrize(
    ("arguments", "executable", "topics"),
    [
        (
            ["point_cloud:=xyz"], "point_cloud_xyz_node",
            {"image_rect": "depth/image", "camera_info": "depth/camera_info", "points": "depth/points"},
        ),
        (
            ["point_cloud:=xyzrgb"], "point_cloud_xyzrgb_node",
            {"depth_registered/image_rect": "depth/image", "rgb/image_rect_color": "/eye/image",
             "rgb/camera_info": "/eye/camera_info", "points": "depth/points"},
        ),
        (
            ["laser_scan:=true", "scan_frame:=eye_link"], "depthimage_to_laserscan_node",
            {"depth": "depth/image", "depth_camera_info": "depth/camera_info"},
        ),
    ],
)  # fmt: skip
def test_the_launch_file_starts_them_with_names_that_they_know(
    domain, tmp_path, monkeypatch, arguments, executable, topics
):
    """Stand-ins in place of the programs show the command lines that they are started with."""
    pytest.importorskip("launch_ros", reason="launch is not installed")
    from test_launch import finished, stand_in

    program = PROGRAMS[executable]
    stand_in(tmp_path, program.package, executable)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=os.pathsep)
    output = finished("downstream.launch.py", "image:=/eye/image", "namespace:=robot", *arguments)
    (line,) = [line for line in output.splitlines() if "ARGUMENTS" in line]
    words = line.split("ARGUMENTS ")[1].split()
    remapped = dict(word.split(":=") for word in words if ":=" in word)
    assert remapped.pop("__ns") == "/robot" and remapped.pop("__node")
    assert remapped == topics
    assert set(remapped) <= {*program.subscribed, *program.published}
    parameters: dict = {}
    for file in (word for word in words if word.startswith("/tmp/launch_params")):
        parameters |= next(iter(yaml.safe_load(Path(file).read_text()).values()))["ros__parameters"]
    assert parameters.pop("use_sim_time") is False
    assert set(parameters) <= set(program.parameters)
    if "scan_frame:=eye_link" in arguments:
        assert parameters["output_frame"] == "eye_link"


def test_nothing_of_them_is_started_unless_asked_for(domain):
    pytest.importorskip("launch_ros", reason="launch is not installed")
    from test_launch import finished

    assert "process started" not in finished("downstream.launch.py")
