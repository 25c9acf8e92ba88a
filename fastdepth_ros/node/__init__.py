"""The lifecycle node. Only this folder and ros_tools import rclpy."""
