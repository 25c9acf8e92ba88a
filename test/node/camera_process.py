"""A camera driver in a process of its own that can be told to misbehave: JSON on stdin, one line for each frame out.

A line says the frame's stamp in nanoseconds, and whether the frame is a good one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

SIM_START_S = 1000.0
CLOCK_PERIOD_S = 0.02


class Camera:
    """Camera whose behavior follows from `state`, which the lines on stdin change."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {
            "rate_hz": 10.0, "size": [240, 320], "info_size": [240, 320], "reliable": True, "sends": True,
            "offset_s": 0.0, "stamp_ns": None, "encoding": "bgr8", "cut": False, "clock": False, "clock_goes": True,
            "clock_s": SIM_START_S,
        }  # fmt: skip
        self._node = rclpy.create_node("camera")
        self._images: Any = None
        self._offered: Any = None
        self._infos = self._node.create_publisher(CameraInfo, "camera_info", 10)
        self._clock = self._node.create_publisher(Clock, "/clock", 1)
        threading.Thread(target=self._obey, daemon=True).start()

    def run(self) -> None:
        due = clock_due = last = time.monotonic()
        while True:
            now = time.monotonic()
            if self.state["clock"]:
                if self.state["clock_goes"]:
                    self.state["clock_s"] += now - last
                if now >= clock_due:
                    self._clock.publish(Clock(clock=Time(seconds=self.state["clock_s"]).to_msg()))
                    clock_due = now + CLOCK_PERIOD_S
            last = now
            if now >= due:
                due = max(due + 1 / self.state["rate_hz"], now)
                self._send()
            time.sleep(0.002)

    def _obey(self) -> None:
        for line in sys.stdin:
            self.state.update(json.loads(line))

    def _send(self) -> None:
        state = dict(self.state)
        self._offer(state["reliable"])
        if not state["sends"] or (state["clock"] and not state["clock_goes"]):
            return
        now_ns = int(state["clock_s"] * 1e9) if state["clock"] else time.time_ns()
        stamp_ns = now_ns + int(state["offset_s"] * 1e9) if state["stamp_ns"] is None else state["stamp_ns"]
        stamp = Time(nanoseconds=stamp_ns).to_msg()
        if state["info_size"]:
            height, width = state["info_size"]
            info = CameraInfo(height=height, width=width, k=[300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0])
            info.header.stamp = stamp
            self._infos.publish(info)
        height, width = state["size"]
        pixels = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        data = pixels.repeat(8, axis=0).repeat(8, axis=1).tobytes()
        message = Image(height=height, width=width, encoding=state["encoding"], step=3 * width)
        message.data = data[: len(data) // 2] if state["cut"] else data
        message.header.stamp, message.header.frame_id = stamp, "eye"
        self._images.publish(message)
        good = state["encoding"] == "bgr8" and not state["cut"] and state["stamp_ns"] is None
        print(stamp_ns, int(good), flush=True)

    def _offer(self, reliable: bool) -> None:
        if reliable == self._offered:
            return
        if self._images is not None:
            self._node.destroy_publisher(self._images)
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=10, reliability=policy, durability=DurabilityPolicy.VOLATILE)
        self._images, self._offered = self._node.create_publisher(Image, "image", qos), reliable


if __name__ == "__main__":
    rclpy.init()
    Camera().run()
