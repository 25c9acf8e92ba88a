"""`bag_player` (formerly bag_publisher): plays a bag into a ROS graph without rosbag2."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.utilities import remove_ros_args
from rosbags.interfaces import Connection, QosDurability, QosHistory
from rosgraph_msgs.msg import Clock

from fastdepth_ros.bags.camera import IMAGE_TYPES
from fastdepth_ros.bags.reader import TYPES, BagError, BagReader, of_topic, open_bag, raw_messages
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.node.shared_memory import use_shared_memory
from fastdepth_ros.node.shutdown import interrupt_once, run_to_end

CLOCK_PERIOD_S = 0.01
LAST_STAMP_NS = (2**31 - 1) * 1_000_000_000
SETTLE_S = 0.5  # discovery is two-sided: a subscriber that we see may not see us yet


class BagPlayer(Node):
    """Publishes each message of a bag at its time.

    Args:
        restamp: move header stamps to the time of playing, as if the camera were live.
        with_clock: publish /clock, the bag's time, for nodes that run with use_sim_time.
    """

    def __init__(self, reader: BagReader, *, rate: float, restamp: bool, with_clock: bool, best_effort: bool) -> None:
        super().__init__("bag_player")
        self._reader, self._rate, self._restamp = reader, rate, restamp
        self._types = _types_of(reader)
        self._by_topic: dict[str, Any] = {}
        for connection in reader.connections:
            topic = connection.topic
            if topic in self._by_topic or (with_clock and topic == "/clock"):
                continue
            message_type = message_class(connection.msgtype)
            if (restamp or not reader.is2) and connection.msgtype not in self._types.fielddefs:
                self.get_logger().warning(f"{topic}: no definition of {connection.msgtype} to turn it by; left out")
            elif message_type is None:
                self.get_logger().warning(f"{topic}: {connection.msgtype} is not installed here; left out")
            else:
                qos = playing_qos(of_topic(reader, topic), best_effort=best_effort)
                try:
                    self._by_topic[topic] = self.create_publisher(message_type, topic, qos)
                except NameValidationException:  # ROS 1 and other recorders allow /camera/2/image, /camera-2/image
                    self.get_logger().warning(f"{topic}: no name of a topic in ROS 2; left out")
        for topic, encoding in reader.foreign.items():
            self.get_logger().warning(f"{topic}: encoded as {encoding!r}, not as ROS 2 does; left out")
        self._image_topics = [
            c.topic for c in reader.connections if c.msgtype in IMAGE_TYPES and c.topic in self._by_topic
        ]
        self._clock_publisher = self.create_publisher(Clock, "/clock", 1) if with_clock else None

    def stop_work(self) -> None:
        """Nothing works beside `play`."""

    def wait_for_subscribers(self, timeout_s: float) -> bool:
        """Wait until some image topic of the bag has a subscriber."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if any(self._by_topic[topic].get_subscription_count() for topic in self._image_topics):
                time.sleep(SETTLE_S)
                return True
            rclpy.spin_once(self, timeout_sec=0.05)
        return False

    def play(self) -> int:
        """Publish the bag once, from start to end.

        Returns:
            The number of messages published.
        """
        started, started_ns = time.monotonic(), self.get_clock().now().nanoseconds
        first_ns, count = self._reader.start_time, 0
        chosen = [c for c in self._reader.connections if c.topic in self._by_topic]
        for connection, recorded_ns, raw in raw_messages(self._reader, chosen):
            self._sleep_until(started + (recorded_ns - first_ns) / 1e9 / self._rate, recorded_ns)
            cdr = raw if self._reader.is2 else self._types.ros1_to_cdr(raw, connection.msgtype)
            if self._restamp:
                cdr = self._restamped(connection.msgtype, cdr, first_ns, started_ns)
            self._by_topic[connection.topic].publish(bytes(cdr))
            count += 1
        return count

    def _restamped(self, message_type: str, cdr: bytes, first_ns: int, started_ns: int) -> bytes:
        """Serialized message with its header stamp moved to the time of playing; equal stamps stay equal.

        A stamp of zero stays: its publisher sets none. Those that are years off are moved to an end of what a stamp
        can hold.
        """
        message: Any = self._types.deserialize_cdr(cdr, message_type)
        if hasattr(message, "header") and stamp_ns(message):
            moved_ns = started_ns + int((stamp_ns(message) - first_ns) / self._rate)
            moved_ns = min(max(moved_ns, 0), LAST_STAMP_NS)
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(moved_ns, 1_000_000_000)
        return bytes(self._types.serialize_cdr(message, message_type))

    def _sleep_until(self, due: float, recorded_ns: int) -> None:
        """Sleep, and publish /clock meanwhile if asked for."""
        while True:
            if not self.context.ok():
                raise ExternalShutdownException
            left_s = due - time.monotonic()
            if self._clock_publisher is not None:
                now_ns = recorded_ns - int(max(left_s, 0.0) * self._rate * 1e9)
                self._clock_publisher.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))
            if left_s <= 0:
                return
            time.sleep(min(left_s, CLOCK_PERIOD_S))


def playing_qos(connections: Sequence[Connection], *, best_effort: bool) -> QoSProfile:
    """QoS to publish a recorded topic with: latched (transient local) if one of its publishers was.

    A latched topic keeps as many messages as all of its publishers together kept, for late subscribers. Topics are
    reliable unless `best_effort`: that fits every subscriber, whatever the recorded publisher offered.

    Args:
        connections: connections of one topic, with the recorded QoS, or ROS 1's `latching`.
    """
    of_files = [getattr(one.ext, "offered_qos_profiles", []) for one in connections]  # a split bag repeats them
    latched = max(
        ([one for one in many if one.durability is QosDurability.TRANSIENT_LOCAL] for many in of_files), key=len
    )
    of_ros1 = [one for one in connections if getattr(one.ext, "latching", None)]
    if not latched and not of_ros1 and not connections[0].topic.endswith("/tf_static"):
        policy = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        return QoSProfile(depth=10, reliability=policy)
    keeps_all = any(profile.history is QosHistory.KEEP_ALL for profile in latched)
    depth = sum(max(profile.depth, 1) for profile in latched) + len(of_ros1)
    if connections[0].topic.endswith("/tf_static"):
        depth = max(depth, 100)  # each of many nodes has its own transforms, which a recorder may store as one profile
    return QoSProfile(
        history=HistoryPolicy.KEEP_ALL if keeps_all else HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def _types_of(reader: BagReader) -> Any:
    """Types of the bag in ROS 2: its own for a rosbag2, the common ones for a ROS 1 bag."""
    return reader.typestore if reader.is2 else TYPES


def message_class(type_name: str) -> type | None:
    """The Python class of "package/msg/Name", if it is installed; a bag can make nothing else be imported."""
    package, _, name = type_name.partition("/msg/")
    found = find_spec(package) if package.isidentifier() else None
    folders = found.submodule_search_locations or () if found else ()
    if not any(Path(folder, "msg", "__init__.py").is_file() for folder in folders):
        return None
    return getattr(import_module(f"{package}.msg"), name, None)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the executable `bag_player`."""
    arguments = sys.argv if arguments is None else ["bag_player", *arguments]
    parsed = _parser().parse_args(remove_ros_args(arguments)[1:])
    use_shared_memory()
    interrupt_once()
    rclpy.init(args=arguments)
    nodes: list[BagPlayer] = []
    run_to_end("bag_player", nodes, lambda: _play(parsed, nodes))


def _play(parsed: argparse.Namespace, nodes: list[BagPlayer]) -> int:
    try:
        with open_bag(parsed.bag) as reader:
            node = BagPlayer(
                reader, rate=parsed.rate, restamp=parsed.restamp, with_clock=parsed.clock,
                best_effort=parsed.best_effort,
            )  # fmt: skip
            nodes.append(node)
            if parsed.wait and not node.wait_for_subscribers(parsed.wait):
                text = "a lazy node subscribes it while its depth has one"
                node.get_logger().warning(
                    f"no subscriber of an image topic within {parsed.wait} s ({text}); playing anyway"
                )
            count = node.play()
            if not count:
                raise BagError(f"{parsed.bag} holds no message that can be played")
            while parsed.loop:
                count += node.play()
            node.get_logger().info(f"{count} messages published")
            time.sleep(0.5)  # reliable messages are still on their way
    except BagError as error:
        print(f"bag_player: {error}", file=sys.stderr)
        return 1
    return 0


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bag_player", description="Play a bag into a ROS graph.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder or ROS 1 .bag to play")
    parser.add_argument("--rate", type=_positive, default=1.0, help="playback speed; 2: twice as fast")
    parser.add_argument("--loop", action="store_true", help="start again at the end of the bag")
    parser.add_argument("--clock", action="store_true", help="publish the time of the bag on /clock")
    parser.add_argument(
        "--restamp", action="store_true", help="replace header stamps by the present time, as a live camera has"
    )
    parser.add_argument(
        "--best-effort", action="store_true", help="publish with best effort reliability, as many cameras do"
    )
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for a subscriber before playing")
    return parser


if __name__ == "__main__":
    main()
