"""Tools around the node: demo, bag player, viewer, benchmark camera, launch files."""
