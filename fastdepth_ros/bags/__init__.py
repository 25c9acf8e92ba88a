"""Recorded data: bag in, bag out, through the same hot path as the node. Needs no ROS."""
