"""The lifecycle node, and the entry points of its processes. Only this folder and ros_tools import rclpy."""

from __future__ import annotations

import os
import signal
from importlib import import_module


def fastdepth_node() -> int:
    """Entry point of `fastdepth_node`."""
    return _started("fastdepth_ros.node.node")


def fastdepth_cameras() -> int:
    """Entry point of `fastdepth_cameras`."""
    return _started("fastdepth_ros.node.multi_camera")


def _started(module: str) -> int:
    """Import a module and call its `main`; an interrupt before the node is begun ends the process with code 0."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as in the background of a shell
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))  # an exception in an import takes many forms
        main = import_module(module).main
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        main = import_module(module).main
    try:
        return main()
    except KeyboardInterrupt:
        return 0
