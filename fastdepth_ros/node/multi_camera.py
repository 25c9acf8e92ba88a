"""`fastdepth_cameras`: nodes of several cameras in one process, each with its own executor and thread."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from threading import Event

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import available_cores
from fastdepth_ros.node.camera_list import ListedCamera, read_cameras, thread_share
from fastdepth_ros.node.node import FastDepthNode, tune_process
from fastdepth_ros.node.shared_memory import add_shared_memory_option, use_shared_memory
from fastdepth_ros.node.shutdown import end_for, ignore_interrupts, is_of_the_end, lasting_executor, run_to_end
from fastdepth_ros.node.worker import BackendLost


def node_of(camera: ListedCamera, share: int) -> FastDepthNode:
    """The node of one camera.

    Args:
        share: its threads, where neither the list nor a parameter file names a number.
    """
    remappings = [part for source, target in camera.remappings for part in ("-r", f"{source}:={target}")]
    node = FastDepthNode(
        namespace=camera.node_namespace,
        cli_args=["--ros-args", *remappings],
        parameter_overrides=[Parameter(name, value=value) for name, value in camera.parameters.items()],
    )
    node.own_process = True  # a hard watchdog for all cameras: Python that stands still stops every one
    if not node.get_parameter("threads").value:
        saves = node.get_parameter("power_save").value
        node.set_parameters([Parameter("threads", value=max(1, share // 2) if saves else share)])
    return node


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable `fastdepth_cameras`; returns only where no node was begun."""
    parser = argparse.ArgumentParser("fastdepth_cameras", description=__doc__)
    parser.add_argument("cameras", type=Path, help="YAML file that lists the cameras; see config/cameras.yaml")
    parser.add_argument("--only", metavar="NAME", help="name of the only camera to run, with its share of the cores")
    add_shared_memory_option(parser)
    try:
        given = parser.parse_args(remove_ros_args(["", *(sys.argv[1:] if arguments is None else arguments)])[1:])
        listed = read_cameras(given.cameras)
        chosen = [camera for camera in listed if given.only in (None, camera.name)]
        if not chosen:
            raise FastDepthError(f"{given.cameras} has no camera {given.only!r}")
        if given.shared_memory:
            use_shared_memory()
        rclpy.init(args=arguments)
    except (FastDepthError, RuntimeError) as error:  # of rclpy: a parameter file that is missing or malformed
        print(f"fastdepth_cameras: {error}", file=sys.stderr)
        return 1
    nodes: list[FastDepthNode] = []
    tune_process()

    def work() -> int:
        share = thread_share(listed, available_cores())
        nodes.extend(node_of(camera, share) for camera in chosen)
        return _spin(nodes)

    return run_to_end("fastdepth_cameras", nodes, work)


def _spin(nodes: Sequence[FastDepthNode]) -> int:
    """Spin the nodes until the context ends. A node that loads its model or answers a service delays no other.

    Returns:
        1 once every node has ended and one failed, for launch to start the process again; else 0.
    """
    living, ended = set(nodes), Event()
    with ThreadPoolExecutor(len(nodes)) as pool:
        spinning = [pool.submit(_spin_one, node, living, ended) for node in nodes]
        with suppress(KeyboardInterrupt):  # the context ends with it, and the threads with that
            wait(spinning)
        ignore_interrupts()
        ended.set()
    return max(one.result() for one in spinning)


def _spin_one(node: FastDepthNode, living: set[FastDepthNode], ended: Event) -> int:
    executor = lasting_executor()
    executor.add_node(node)
    failure: Exception | None = None
    try:
        node.autostart()
        executor.spin()
    except ExternalShutdownException:
        pass
    except BackendLost as error:  # the whole process restarts
        end_for(error)
    except Exception as error:
        if not is_of_the_end(error) and rclpy.ok():
            node.get_logger().fatal(f"this camera has ended, the others go on\n{traceback.format_exc()}")
            failure = error
    living.discard(node)
    if not living:
        ended.set()
    if failure is not None:
        node.fail(failure, ended)
    return int(failure is not None)


if __name__ == "__main__":
    raise SystemExit(main())
