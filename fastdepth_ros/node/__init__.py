"""The lifecycle node and what it is made of. This room and ros_tools are the only ones that import rclpy."""
