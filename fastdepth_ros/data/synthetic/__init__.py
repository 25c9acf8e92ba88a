"""Furnished synthetic rooms from a seed, and frames of a moving camera in them, with exact depth."""

from fastdepth_ros.data.synthetic.rooms import random_scene
from fastdepth_ros.data.synthetic.scene import Camera
from fastdepth_ros.data.synthetic.sequence import KINECT, SyntheticFrame, room_sequence

__all__ = ["KINECT", "Camera", "SyntheticFrame", "random_scene", "room_sequence"]
