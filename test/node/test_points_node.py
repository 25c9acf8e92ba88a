"""depth/points of a node on a real graph: its layout, its numbers, and that it is made for subscribers alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_graph import CameraDriver, Diagnostics, Listener, depth_of, picture, wait_until
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from fastdepth_ros.depth.options import PointsOptions
from fastdepth_ros.depth.points import filtered_points, points_of
from fastdepth_ros.node import point_cloud


def test_points_are_those_of_the_depth_in_the_frames_own_header(graph, artifact_folder):
    graph.activated(artifact_folder, points=True, points_min_cluster=5)
    camera, clouds = CameraDriver(graph), Listener(graph, "/depth/points", PointCloud2)
    depths, infos = Listener(graph, "/depth/image", Image), Listener(graph, "/depth/camera_info", CameraInfo)
    camera.wait()
    camera.send_info(3)
    camera.send(3, picture(480, 640))
    wait_until(lambda: clouds.heard and depths.heard and infos.heard, "points, depth and camera_info")
    cloud = clouds.heard[0]
    assert cloud.header == depths.heard[0].header
    layout = [(one.name, one.offset, one.datatype, one.count) for one in cloud.fields]
    assert layout == [("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("intensity", 12, 7, 1)]
    assert (cloud.height, cloud.point_step, cloud.is_bigendian, cloud.is_dense) == (1, 16, False, True)
    assert cloud.row_step == 16 * cloud.width == len(cloud.data) > 0
    expected = filtered_points(depth_of(depths.heard[0]), infos.heard[0].k, PointsOptions(min_cluster=5))
    np.testing.assert_allclose(points_of(cloud), expected[0], rtol=1e-5, atol=1e-6)


def test_points_are_computed_only_while_somebody_subscribes_them(graph, artifact_folder, monkeypatch):
    made = []
    real = point_cloud.filtered_points
    monkeypatch.setattr(point_cloud, "filtered_points", lambda *given: made.append(1) or real(*given))
    graph.activated(artifact_folder, points=True, points_organized=True)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    camera.wait()
    camera.send_info(1, 240, 320)
    camera.send(1, picture())
    wait_until(lambda: depths.stamps() == [1], "depth")
    assert not made
    clouds = Listener(graph, "/depth/points", PointCloud2)
    graph.wait_for_listeners()
    camera.send_info(2, 240, 320)
    camera.send(2, picture())
    wait_until(lambda: clouds.stamps() == [2], "points")
    assert (clouds.heard[0].height, clouds.heard[0].width, clouds.heard[0].is_dense) == (112, 112, False)
    assert len(made) == 1


def test_without_the_parameter_there_is_no_topic_of_points_nor_a_change(graph, artifact_folder):
    node = graph.activated(artifact_folder)
    assert not [one.topic_name for one in node.publishers if "points" in one.topic_name]
    assert "clean it up first" in graph.change(node, points=True)
    assert graph.change(node, points_stride=4) == ""


def test_without_camera_info_there_are_no_points_and_diagnostics_say_so(graph, artifact_folder):
    graph.activated(artifact_folder, points=True)
    camera, depths = CameraDriver(graph), Listener(graph, "/depth/image", Image)
    clouds, diagnostics = Listener(graph, "/depth/points", PointCloud2), Diagnostics(graph)
    camera.wait()
    camera.send(1, picture())
    wait_until(lambda: depths.heard, "depth")
    assert "no depth/points" in diagnostics.told("no camera_info received").message
    assert not clouds.heard


@pytest.mark.needs("sensor_msgs_py")
def test_the_points_are_read_by_sensor_msgs_py(graph, artifact_folder):
    from sensor_msgs_py.point_cloud2 import read_points

    graph.activated(artifact_folder, points=True)
    camera, clouds = CameraDriver(graph), Listener(graph, "/depth/points", PointCloud2)
    camera.wait()
    camera.send_info(3)
    camera.send(3, picture(480, 640))
    wait_until(lambda: clouds.heard, "points")
    read = read_points(clouds.heard[0])
    fields = np.stack([read[name] for name in ("x", "y", "z", "intensity")], -1)
    np.testing.assert_array_equal(fields, points_of(clouds.heard[0]))
