"""The end of a process of nodes, in an order that no thread of the middleware can upset."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable
from typing import Any, NoReturn

from rclpy.lifecycle import LifecycleNode

FAREWELL_S = 0.3  # for what was published last, and for the word that the publishers are gone


def withdraw(node: LifecycleNode) -> None:
    """Take back what others may wait for: services and publishers, at once instead of after discovery's 20 s.

    The subscriptions stay. Threads of DDS call into them until the process is gone: destroying one while its
    publishers came and went ended the process with SIGSEGV now and then.
    """
    for service in list(node.services):
        node.destroy_service(service)
    for publisher in list(node.publishers):
        node.destroy_publisher(publisher)


def end_process(nodes: Iterable[Any], code: int) -> NoReturn:
    """Let each node finish its work and withdraw, then end without destructors, of engines and of DDS alike.

    Args:
        nodes: whose executors do not spin any more; each has `stop_work`.
        code: exit code; 1 in place of 0 where a node fails to finish.
    """
    for node in nodes:
        try:
            node.stop_work()
            withdraw(node)
        except Exception:  # the others are to finish all the same
            traceback.print_exc()
            code = code or 1
    time.sleep(FAREWELL_S)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
