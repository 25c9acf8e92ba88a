"""The node. The only room that imports rclpy."""
