"""Metric depth from one camera, in milliseconds: FastDepth (Wofk et al., ICRA 2019) as a ROS 2 package."""

__version__ = "0.1.0"
