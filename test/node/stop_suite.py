"""Stops of the node by SIGINT while listeners and cameras come and go: each ends by itself, with exit code 0.

python test/node/stop_suite.py --stops 200 --out stops    # logs of failures and core dumps go to the folder stops
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

START_S, END_S = 60.0, 20.0  # among so many guests discovery fails now and then; it is stopped all the same
FRAME_S = 0.03
TAKEN_S = 1.0  # after its first depth the node works for at most so long
STAY_S = 0.15  # of a guest
PUBLISH_SHARE = 0.3  # of the guests
GUESTS = 2
BLIND = ", before any depth"
OFFERS = [
    QoSProfile(depth=depth, reliability=reliability, durability=durability)
    for depth in (1, 10)
    for reliability in (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
    for durability in (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
]
TOPICS = {
    "depth/image": Image,
    "depth/image_color": Image,
    "depth/camera_info": CameraInfo,
    "/diagnostics": DiagnosticArray,
}
NODE = [sys.executable, "-c", "import fastdepth_ros.node as node; raise SystemExit(node.fastdepth_node())"]


@dataclass(frozen=True)
class Stop:
    """How the node ended: `code` as of Popen, below 0 by a signal, -6 where it hung; `seconds` from SIGINT on."""

    gave_depth: bool
    code: int
    seconds: float
    said: str

    @property
    def is_clean(self) -> bool:
        return self.code == 0 and "Traceback" not in self.said


class Camera:
    """Publishes frames and their camera_info."""

    def __init__(self, node: rclpy.node.Node, images: QoSProfile = OFFERS[0], infos: QoSProfile = OFFERS[0]) -> None:
        self._clock = node.get_clock()
        self._images = node.create_publisher(Image, "image", images)
        self._infos = node.create_publisher(CameraInfo, "camera_info", infos)
        pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
        self._image = Image(height=240, width=320, encoding="bgr8", step=960, data=pixels.tobytes())
        self._info = CameraInfo(height=240, width=320, k=[300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0])
        self._image.header.frame_id = self._info.header.frame_id = "eye"

    def send(self) -> None:
        self._image.header.stamp = self._info.header.stamp = self._clock.now().to_msg()
        self._infos.publish(self._info)
        self._images.publish(self._image)


def guest(seed: int) -> None:
    """Listen, and now and then publish, always as another node with other endpoints, of which some do not fit."""
    chance = random.Random(seed)
    rclpy.init()
    while True:
        node = rclpy.create_node(f"guest_{seed}")
        for _ in range(chance.randrange(3)):
            topic = chance.choice(list(TOPICS))
            node.create_subscription(TOPICS[topic], topic, lambda message: None, chance.choice(OFFERS))
        camera = Camera(node, chance.choice(OFFERS), chance.choice(OFFERS)) if chance.random() < PUBLISH_SHARE else None
        leaves = time.monotonic() + chance.random() * STAY_S
        while time.monotonic() < leaves:
            if camera is not None:
                camera.send()
            rclpy.spin_once(node, timeout_sec=0.01)
        node.destroy_node()


@contextmanager
def guests(folder: Path, number: int = GUESTS) -> Iterator[None]:
    with (folder / "guests.log").open("w") as log:  # of endpoints that do not fit; they are meant
        command = [sys.executable, __file__, "--guest"]
        started = [subprocess.Popen([*command, str(seed)], stderr=log, cwd=folder) for seed in range(number)]
        try:
            yield
        finally:
            gone = [seed for seed, process in enumerate(started) if process.poll() is not None]
            for process in started:
                process.kill()
                process.wait()
    assert not gone, f"guests {gone} ended before their time: {folder / 'guests.log'}"


def stops(model: Path | str, count: int, folder: Path, seed: int = 0) -> Iterator[Stop]:
    """Start the node and stop it, again and again.

    Args:
        folder: of logs and core dumps.

    Raises:
        AssertionError: the node ended by itself, or a guest did.
    """
    chance = random.Random(seed)
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = rclpy.create_node("observer", context=context)
    camera = Camera(observer)
    try:
        with guests(folder):
            for _ in range(count):
                heard: list[Image] = []
                subscription = observer.create_subscription(Image, "depth/image", heard.append, 1)
                yield _stopped(model, folder, heard, observer, camera, chance.random() * TAKEN_S)
                observer.destroy_subscription(subscription)
    finally:
        observer.destroy_node()
        context.try_shutdown()


def _stopped(
    model: Path | str, folder: Path, heard: list[Image], observer: rclpy.node.Node, camera: Camera, taken_s: float
) -> Stop:
    executor = rclpy.executors.SingleThreadedExecutor(context=observer.context)
    executor.add_node(observer)
    log = folder / "node.log"
    with log.open("w") as stderr:
        arguments = ["--ros-args", "-p", f"model:={model}", "-p", "threads:=1", "-p", "camera_info_wait_s:=0.0"]
        node = subprocess.Popen([*NODE, *arguments], stderr=stderr, cwd=folder, preexec_fn=_dumps_its_core)
    try:
        deadline = time.monotonic() + START_S
        while not heard and time.monotonic() < deadline:
            camera.send()
            executor.spin_once(timeout_sec=FRAME_S)
            assert node.poll() is None, f"the node ended by itself:\n{log.read_text()}"
        leaves = time.monotonic() + taken_s
        while time.monotonic() < leaves:
            camera.send()
            executor.spin_once(timeout_sec=FRAME_S)
        asked = time.monotonic()
        node.send_signal(signal.SIGINT)
        try:
            code = node.wait(END_S)
        except subprocess.TimeoutExpired:
            node.send_signal(signal.SIGABRT)  # for a core dump of what it hangs in
            code = node.wait()
        return Stop(bool(heard), code, time.monotonic() - asked, log.read_text())
    finally:
        node.kill()
        node.wait()
        executor.shutdown()


def _dumps_its_core() -> None:
    """Also hears Ctrl-C where it is started in the background of a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stops", type=int, default=200)
    parser.add_argument("--model", default="fastdepth-pruned", help="artifact")
    parser.add_argument("--out", type=Path, default=Path("stops"), help="folder of logs and core dumps")
    parser.add_argument("--guest", type=int, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if parsed.guest is not None:
        guest(parsed.guest)
    parsed.out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for number, stop in enumerate(stops(parsed.model, parsed.stops, parsed.out.resolve()), 1):
        print(f"stop {number}: code {stop.code} after {stop.seconds:.2f} s{BLIND * (not stop.gave_depth)}", flush=True)
        if not stop.is_clean:
            wrong += 1
            (parsed.out / f"stop_{number}.log").write_text(stop.said)
            print(stop.said, flush=True)
    print(f"{wrong} of {parsed.stops} stops went wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
