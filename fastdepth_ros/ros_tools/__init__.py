"""Tools around the node: demo, bag player, viewer, benchmark camera, launch files."""

from fastdepth_ros.node import started


def fastdepth_camera() -> int:
    """Entry point of `fastdepth_camera`."""
    return started("fastdepth_ros.ros_tools.camera", "fastdepth_camera")


def play_bag() -> int:
    """Entry point of `bag_player`."""
    return started("fastdepth_ros.ros_tools.bag_player", "bag_player")
