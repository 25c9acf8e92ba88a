"""Camera of the benchmark: publishes frames at a steady rate, receives the depth, prints latency and load as JSON.

A process of its own, as a camera driver is. Stage times come from the node's diagnostics, its processor time from the
system.
"""

from __future__ import annotations

import argparse
import json
import signal
import struct
import subprocess
import sys
import time
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from fastdepth_ros.depth.options import DEPTH_ENCODINGS
from fastdepth_ros.jobs.cores import process_cpu_s
from fastdepth_ros.node.shared_memory import use_shared_memory
from fastdepth_ros.node.shutdown import lasting_executor

STAMP = struct.Struct("<iI")  # behind the four bytes that say how a message is serialized
PERCENTILES = (50, 95, 99)
START_TIMEOUT_S = 60.0
DIAGNOSTICS_S = 1.5  # longer than the period of /diagnostics


class BenchmarkCamera(Node):
    """Publishes `image` and `camera_info`, subscribes depth of either encoding and `/diagnostics`."""

    def __init__(self, height: int, width: int, best_effort: bool) -> None:
        super().__init__("benchmark_camera")
        policy = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        qos = QoSProfile(depth=10, reliability=policy)
        self._images = self.create_publisher(Image, "image", qos)
        self._infos = self.create_publisher(CameraInfo, "camera_info", qos)
        self._image, self._info = _serialized(height, width)
        for encoding in DEPTH_ENCODINGS.values():
            self.create_subscription(Image, f"depth/{encoding.topic}", self._on_depth, QoSProfile(depth=10), raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.sent = 0
        self.first_depth_at = 0.0  # on the monotonic clock
        self.latencies_ms: list[float] = []
        self.values: dict[str, str] = {}
        self.diagnostics_count = 0

    def has_subscribers(self) -> bool:
        return self._images.get_subscription_count() > 0 and self._infos.get_subscription_count() > 0

    def send(self) -> None:
        stamp = STAMP.pack(*divmod(self.get_clock().now().nanoseconds, 1_000_000_000))
        self._infos.publish(self._info[:4] + stamp + self._info[12:])
        self._images.publish(self._image[:4] + stamp + self._image[12:])
        self.sent += 1

    def _on_depth(self, message: bytes) -> None:
        seconds, nanoseconds = STAMP.unpack_from(message, 4)
        sent_ns = seconds * 1_000_000_000 + nanoseconds
        self.first_depth_at = self.first_depth_at or time.monotonic()
        self.latencies_ms.append((self.get_clock().now().nanoseconds - sent_ns) / 1e6)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.values = {entry.key: entry.value for entry in message.status[0].values}
        self.diagnostics_count += 1


def measure(camera: BenchmarkCamera, rate_hz: float, warm_up_s: float, seconds: float, node_pid: int) -> dict[str, Any]:
    """Run the camera for some seconds after a warm-up.

    Raises:
        TimeoutError: no node subscribed.
    """
    executor = lasting_executor()
    executor.add_node(camera)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not camera.has_subscribers():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no node subscribed image and camera_info within {START_TIMEOUT_S:.0f} s")
        executor.spin_once(timeout_sec=0.1)
    _run(camera, executor, rate_hz, warm_up_s)
    _listen(camera, executor)
    before, cpu_before_s, started = dict(camera.values), process_cpu_s(node_pid), time.monotonic()
    camera.latencies_ms.clear()
    sent_before = camera.sent
    _run(camera, executor, rate_hz, seconds)
    elapsed_s, cpu_s = time.monotonic() - started, process_cpu_s(node_pid) - cpu_before_s
    sent = camera.sent - sent_before
    _listen(camera, executor)
    counted = {
        name: int(camera.values[name]) - int(before.get(name, 0))
        for name in ("received", "published", "replaced", "unreadable", "failed")
    }
    latency_ms = np.percentile(camera.latencies_ms, PERCENTILES).tolist() if camera.latencies_ms else []
    return {
        "rate_hz": rate_hz,
        "sent": sent,
        "heard": len(camera.latencies_ms),
        "latency_ms": dict(zip(("p50", "p95", "p99"), latency_ms)),
        "counts": counted,
        "node_cpu": cpu_s / elapsed_s,
        "diagnostics": camera.values,
    }


def first_depth_s(camera: BenchmarkCamera, rate_hz: float, node: list[str]) -> float:
    """Seconds from the start of a node's process to its first depth.

    Args:
        node: arguments of `python -m`.

    Raises:
        TimeoutError: no depth came.
    """
    executor = lasting_executor()
    executor.add_node(camera)
    _run(camera, executor, rate_hz, 1.0)
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", *node], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not camera.latencies_ms:
            if time.monotonic() - started > START_TIMEOUT_S:
                raise TimeoutError(f"no depth within {START_TIMEOUT_S:.0f} s of the node's start")
            _run(camera, executor, rate_hz, 0.2)
        return camera.first_depth_at - started
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _run(camera: BenchmarkCamera, executor: SingleThreadedExecutor, rate_hz: float, seconds: float) -> None:
    started = time.monotonic()
    for number in range(round(rate_hz * seconds)):
        due = started + number / rate_hz
        while (left_s := due - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left_s)
        camera.send()


def _listen(camera: BenchmarkCamera, executor: SingleThreadedExecutor) -> None:
    """Wait until the node has reported once more after the last frame."""
    wanted, deadline = camera.diagnostics_count + 1, time.monotonic() + 2 * DIAGNOSTICS_S
    time_up = time.monotonic() + 0.2
    while (camera.diagnostics_count < wanted or time.monotonic() < time_up) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)


def _serialized(height: int, width: int) -> tuple[bytes, bytes]:
    """An image and a camera_info as bytes, in which only the stamp changes: a driver in C++ takes no longer."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image(height=height, width=width, encoding="bgr8", step=3 * width, data=pixels.tobytes())
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [0.8 * width, 0.0, width / 2, 0.0, 0.8 * width, height / 2, 0.0, 0.0, 1.0]
    info.p = [*info.k[:3], 0.0, *info.k[3:6], 0.0, *info.k[6:], 0.0]
    for message in (image, info):
        message.header.frame_id = "camera_optical_frame"
    return serialize_message(image), serialize_message(info)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmark_camera", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="640x480", help="width x height of the frames in pixels")
    parser.add_argument("--rate", type=float, default=30.0, help="number of frames per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of the measurement in seconds")
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds to run before the measurement")
    parser.add_argument("--best-effort", action="store_true", help="publish with best effort reliability")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--node", type=int, help="process id of the node")
    text = "arguments of `python -m` as a JSON list: start this node, and print the seconds to its first depth"
    which.add_argument("--start", type=json.loads, metavar="JSON", help=text)
    parsed = parser.parse_args()
    width, height = (int(side) for side in parsed.size.split("x"))
    use_shared_memory()
    rclpy.init()
    camera = BenchmarkCamera(height, width, parsed.best_effort)
    try:
        if parsed.start:
            found = {"first_depth_s": first_depth_s(camera, parsed.rate, parsed.start)}
        else:
            found = measure(camera, parsed.rate, parsed.warm_up, parsed.seconds, parsed.node)
        print(json.dumps(found))
    except TimeoutError as error:
        parser.exit(1, f"benchmark_camera: {error}\n")
    finally:
        camera.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
