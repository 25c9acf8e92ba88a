"""The lifecycle node, and the entry points of its processes. Only this folder and ros_tools import rclpy."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module


def fastdepth_node() -> int:
    """Entry point of `fastdepth_node`."""
    return started("fastdepth_ros.node.node", "fastdepth_node")


def fastdepth_cameras() -> int:
    """Entry point of `fastdepth_cameras`."""
    return started("fastdepth_ros.node.multi_camera", "fastdepth_cameras")


def started(module: str, program: str) -> int:
    """Import a module and call its `main`; an interrupt before the node is begun ends the process with code 0.

    Args:
        program: name that the message about a missing library begins with.
    """
    may_interrupt = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not in the background of a shell
    if may_interrupt:
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))  # an exception in an import takes many forms
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        if (error.name or "fastdepth_ros").partition(".")[0] == "fastdepth_ros":
            raise
        print(f"{program}: needs the Python module {error.name}: doc/node.md, Installation on a robot", file=sys.stderr)
        return 1
    if may_interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        return 0
