"""Views of depth for people: report, video, live view. Needs no ROS."""
