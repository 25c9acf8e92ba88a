"""A real ROS graph for tests: a context with nodes that spin, a camera driver, listeners."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from fastdepth_ros.node.node import FastDepthNode

KINECT_K = [518.858, 0.0, 324.58, 0.0, 519.470, 252.74, 0.0, 0.0, 1.0]


class Graph:
    """A context with nodes that spin on one background thread.

    What creates or destroys parts of a node belongs on that thread (`do`, `activated`, `go`, `change`): an executor
    that meets a part in destruction fails.
    """

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._nodes: list[Any] = []
        self._listeners: list[Listener] = []
        self._closing = False
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
        parameters = {"camera_info_wait_s": 0.0, "backend": "onnxruntime", **parameters}  # many tests send none
        arguments = ["--ros-args"]
        for name, target in (remap or {}).items():
            arguments += ["-r", f"{name}:={target}"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={value}"]
        return self.add(FastDepthNode(context=self.context, cli_args=arguments))

    def activated(self, model: Any, **parameters: Any) -> Any:
        """A fastdepth node that is active."""
        node = self.fastdepth(model=model, **parameters)
        self.go(node, "configure", "activate")
        return node

    def go(self, node: Any, *transitions: str) -> None:
        """Transitions that must succeed."""
        for name in transitions:
            assert self.do(getattr(node, f"trigger_{name}")) == TransitionCallbackReturn.SUCCESS, (name, node.trouble)

    def change(self, node: Any, **values: Any) -> str:
        """Change parameters. Returns the reason for the refusal, or ""."""
        changes = [Parameter(name, value=value) for name, value in values.items()]
        result = self.do(lambda: node.set_parameters_atomically(changes))
        return "" if result.successful else result.reason

    def call(self, kind: type, name: str, request: Any = None) -> Any:
        """Answer of a service of the node fastdepth."""
        client = self.peer.create_client(kind, f"/fastdepth/{name}")
        wait_until(client.service_is_ready, f"the service {name}")
        future = client.call_async(request or kind.Request())
        wait_until(future.done, f"an answer of {name}")
        return future.result()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def wait_for_listeners(self) -> None:
        """Wait until the publishers of this process know all listeners: what was sent before that is lost."""
        for topic in {listener.topic for listener in self._listeners}:
            number = sum(listener.topic == topic for listener in self._listeners)
            for publisher in [one for node in self._nodes for one in node.publishers if one.topic_name == topic]:
                wait_until(
                    lambda publisher=publisher, number=number: publisher.get_subscription_count() >= number,
                    f"the publisher of {topic} to know its listeners",
                )

    def close(self) -> None:
        self._closing = True
        self._thread.join(60)  # a node destroyed while it is waited on crashes rclpy
        self._executor.shutdown(timeout_sec=5)
        for node in self._nodes:
            if hasattr(node, "close"):
                node.close()
            node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        while self.context.ok() and not self._closing:
            self._executor.spin_once(timeout_sec=0.05)


class Listener:
    """Hears what a node publishes."""

    def __init__(self, graph: Graph, topic: str, kind: type) -> None:
        self.topic, self.heard = topic, list[Any]()
        graph.peer.create_subscription(kind, topic, self.heard.append, 50)
        graph.listen(self)

    def stamps(self) -> list[int]:
        return [message.header.stamp.sec for message in self.heard]


class Diagnostics(Listener):
    """Hears /diagnostics; the first status of each array is of the depth."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph, "/diagnostics", DiagnosticArray)

    @property
    def newest(self) -> DiagnosticStatus:
        wait_until(lambda: self.heard, "diagnostics")
        return self.heard[-1].status[0]

    @property
    def facts(self) -> dict[str, str]:
        """Keys and values of the newest status."""
        return facts_of(self.newest)

    def told(self, text: str, task: str = "depth") -> DiagnosticStatus:
        """The first status of a task whose message has a text."""

        def found() -> DiagnosticStatus | None:
            statuses = [status for array in list(self.heard) for status in array.status]
            return next((one for one in statuses if one.name.endswith(f": {task}") and text in one.message), None)

        return wait_until(found, f"a word on {task} of {text!r}")


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
        self._graph, self._clock = graph, graph.peer.get_clock()
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self._images = graph.peer.create_publisher(kind, topic, QoSProfile(depth=10, reliability=policy))
        self._infos = graph.peer.create_publisher(CameraInfo, info_topic, 10)

    def wait(self, *, info: bool = True) -> None:
        """Wait until what is sent is heard, and what the nodes of this process make of it."""
        wait_until(self._images.get_subscription_count, "the node to subscribe")
        if info:
            wait_until(self._infos.get_subscription_count, "the node to subscribe camera_info")
        self._graph.wait_for_listeners()

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
        self.publish_info(message)

    def publish_info(self, message: CameraInfo) -> None:
        self._infos.publish(message)

    def _stamp(self, message, number: int | None) -> None:
        message.header.frame_id = "eye"
        if number is None:
            message.header.stamp = self._clock.now().to_msg()
        else:
            message.header.stamp.sec = number


def depth_of(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def facts_of(status: DiagnosticStatus) -> dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """The first true result; the limit is of a machine with much else to do."""
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
