"""Processes beside the node: demo, bag player, viewer, benchmark camera."""
