"""Depth that people can see: the report, the video, the live view. Needs no ROS."""
