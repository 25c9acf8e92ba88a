"""Metric depth from one camera, in milliseconds: FastDepth (Wofk et al., ICRA 2019) as a ROS 2 package."""

from fastdepth_ros.telemetry import switch_off_telemetry

__version__ = "0.1.0"

switch_off_telemetry()  # here, since every process of ours passes here before it imports an engine
