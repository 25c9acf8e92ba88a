"""A real ROS graph for tests: a context with nodes that spin, a camera driver, a listener."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from fastdepth_ros.node.node import FastDepthNode

KINECT_K = [518.858, 0.0, 324.58, 0.0, 519.470, 252.74, 0.0, 0.0, 1.0]


class Graph:
    """A context with nodes that spin on one background thread."""

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._nodes: list[Any] = []
        self.peer = self.add(rclpy.create_node("peer", context=self.context))
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def add(self, node: Any) -> Any:
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def do(self, work: Callable[[], Any]) -> Any:
        """The result of something done on the thread that spins the nodes, as their services are."""
        errors: list[Exception] = []

        def guarded() -> Any:  # an error would end the thread
            try:
                return work()
            except Exception as error:
                errors.append(error)

        task = self.begin(guarded)
        wait_until(task.done, "the nodes' thread")
        if errors:
            raise errors[0]
        return task.result()

    def begin(self, work: Callable[[], Any]) -> Any:
        """The same without waiting for it."""
        return self._executor.create_task(work)

    def remove(self, node: Any) -> None:
        self._nodes.remove(node)
        self._executor.remove_node(node)
        node.close()
        node.destroy_node()

    def fastdepth(self, *, remap: dict[str, str] | None = None, **parameters: Any) -> Any:
        """A fastdepth node with these parameters, not yet configured."""
        parameters = {"camera_info_wait_s": 0.0, **parameters}  # many tests send none
        arguments = ["--ros-args"]
        for name, target in (remap or {}).items():
            arguments += ["-r", f"{name}:={target}"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={value}"]
        return self.add(FastDepthNode(context=self.context, cli_args=arguments))

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=5)
        self._thread.join(60)  # a node destroyed while it is waited on crashes rclpy
        for node in self._nodes:
            if hasattr(node, "close"):
                node.close()
            node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        while self.context.ok() and not self._executor._is_shutdown:
            self._executor.spin_once(timeout_sec=0.05)


class Listener:
    """Hears what a node publishes."""

    def __init__(self, graph: Graph, topic: str, kind: type) -> None:
        self.heard: list = []
        graph.peer.create_subscription(kind, topic, self.heard.append, 50)

    def stamps(self) -> list[int]:
        return [message.header.stamp.sec for message in self.heard]


class CameraDriver:
    """Publishes frames as a camera driver does; the stamp is a whole number of seconds, the frame's number, or now."""

    def __init__(
        self,
        graph: Graph,
        topic: str = "/image",
        kind: type = Image,
        reliable: bool = True,
        info_topic: str = "/camera_info",
    ) -> None:
        self._clock = graph.peer.get_clock()
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self._images = graph.peer.create_publisher(kind, topic, QoSProfile(depth=10, reliability=policy))
        self._infos = graph.peer.create_publisher(CameraInfo, info_topic, 10)

    def wait(self) -> None:
        wait_until(self._images.get_subscription_count, "the node to subscribe")
        wait_until(self._infos.get_subscription_count, "the node to subscribe camera_info")

    def send(self, number: int | None, pixels: np.ndarray, encoding: str = "bgr8", **changes) -> None:
        message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
        message.step = pixels.nbytes // max(pixels.shape[0], 1)
        message.data = pixels.tobytes()
        self.publish(number, message, **changes)

    def publish(self, number: int | None, message, **changes) -> None:
        self._stamp(message, number)
        for name, value in changes.items():
            setattr(message, name, value)
        self._images.publish(message)

    def send_info(self, number: int | None, height: int = 480, width: int = 640) -> None:
        message = CameraInfo(height=height, width=width, k=KINECT_K, distortion_model="plumb_bob", d=[0.1] * 5)
        message.p = [518.858, 0.0, 324.58, -7.0, 0.0, 519.470, 252.74, 0.0, 0.0, 0.0, 1.0, 0.0]
        self._stamp(message, number)
        self._infos.publish(message)

    def _stamp(self, message, number: int | None) -> None:
        message.header.frame_id = "eye"
        if number is None:
            message.header.stamp = self._clock.now().to_msg()
        else:
            message.header.stamp.sec = number


def depth_of(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}")


def picture(height: int = 240, width: int = 320, seed: int = 0) -> np.ndarray:
    """uint8 HxWx3: soft random colors."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
