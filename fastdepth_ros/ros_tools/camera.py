"""`fastdepth_camera`: publishes a webcam, a video or a stream as a ROS camera does, where no driver is installed."""

from __future__ import annotations

import argparse
import sys
from array import array
from typing import NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.shared_memory import use_shared_memory
from fastdepth_ros.node.shutdown import interrupt_once, run_to_end
from fastdepth_ros.pictures.image_files import as_bgr
from fastdepth_ros.view.source import at_own_pace, open_source

IMAGE_TOPIC = "/camera/image_raw"


class Camera(Node):
    """Publishes frames as bgr8 images, stamped with the present time.

    Args:
        frame_id: tf frame of the images.
    """

    def __init__(self, frame_id: str) -> None:
        super().__init__("camera")
        self._frame_id = frame_id
        self._publisher = self.create_publisher(Image, IMAGE_TOPIC, QoSProfile(depth=5))

    def play(self, source: str) -> int:
        """Publish every frame of a source, a recording at the pace of its times.

        Returns:
            The number of frames published.

        Raises:
            FastDepthError: no such source, or it gives no frame.
        """
        count = 0
        with open_source(source) as opened:
            for _, frame, _ in opened.frames if opened.live else at_own_pace(opened.frames):
                if not self.context.ok():
                    raise ExternalShutdownException
                self._publish(frame)
                count += 1
            notes = opened.notes()
        if not count:
            raise FastDepthError(f"{source} gives no frame: {'; '.join(notes) or 'it is empty'}")
        for note in notes:
            self.get_logger().warning(note)
        return count

    def stop_work(self) -> None:
        """Nothing works beside `play`."""

    def _publish(self, frame: Frame) -> None:
        bgr = as_bgr(frame)
        height, width = bgr.shape[:2]
        message = Image(height=height, width=width, encoding="bgr8", step=3 * width, data=array("B", bgr.tobytes()))
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._frame_id
        self._publisher.publish(message)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the executable `fastdepth_camera`."""
    arguments = sys.argv if arguments is None else ["fastdepth_camera", *arguments]
    parsed = _parser().parse_args(remove_ros_args(arguments)[1:])
    use_shared_memory()
    interrupt_once()
    rclpy.init(args=arguments)
    nodes: list[Camera] = []
    run_to_end("fastdepth_camera", nodes, lambda: _play(parsed, nodes))


def _play(parsed: argparse.Namespace, nodes: list[Camera]) -> int:
    node = Camera(parsed.frame_id)
    nodes.append(node)
    try:
        count = node.play(parsed.source)
        while parsed.loop:
            count += node.play(parsed.source)
    except FastDepthError as error:
        print(f"fastdepth_camera: {error}", file=sys.stderr)
        return 1
    node.get_logger().info(f"{count} frames published")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastdepth_camera", description=f"Publish a webcam, a video or a stream on {IMAGE_TOPIC}."
    )
    parser.add_argument("source", nargs="?", default="0", help="camera (number, /dev/videoN), rtsp://..., video or bag")
    parser.add_argument("--loop", action="store_true", help="start again at the end of a recording")
    parser.add_argument("--frame-id", default="camera_optical_frame", help="tf frame of the images")
    return parser


if __name__ == "__main__":
    main()
