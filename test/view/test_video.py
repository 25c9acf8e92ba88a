"""The video: every picture at its time, from bag, file or camera; whole or not at all."""

from __future__ import annotations

import io
import socket
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from recorded import BAGS, IMAGE_TOPIC, STAMPS_NS, frames
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.cli import main
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import trained_view

av = pytest.importorskip("av", reason="av is not installed")

from fastdepth_ros.errors import FastDepthError  # noqa: E402
from fastdepth_ros.view.source import open_source  # noqa: E402
from fastdepth_ros.view.video import VideoWriter, side_by_side  # noqa: E402


def run_video(source: object, out: Path, model: Path, *more: str) -> int:
    return main(["video", str(source), "--out", str(out), "--model", str(model), "--height", "120", *more])


def read_video(path: Path) -> tuple[list[float], list[np.ndarray], str]:
    """Seconds, BGR pictures, and codec of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = list(container.decode(stream))
        times = [float(picture.pts * picture.time_base) for picture in pictures]
        return times, [picture.to_ndarray(format="bgr24") for picture in pictures], stream.codec_context.name


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """30 pictures of 10 Hz, 160 x 120."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path) as writer:
        for number in range(30):
            writer.write(number * 100_000_000, frames()[number % 4])
    return path


@pytest.mark.parametrize("kind", sorted(BAGS))
def test_a_bag_becomes_a_video_of_frame_and_depth_at_the_frames_times(kind, tmp_path, artifact_folder):
    bag = BAGS[kind](tmp_path)
    assert run_video(bag, tmp_path / "out.mp4", artifact_folder) == 0
    times, pictures, codec = read_video(tmp_path / "out.mp4")
    assert codec == "h264"
    np.testing.assert_allclose(times, (np.array(STAMPS_NS) - STAMPS_NS[0]) / 1e9, atol=1e-4)
    artifact = find_artifact(artifact_folder)
    estimator = DepthEstimator(artifact.load(), artifact.network)
    crop = trained_view(120, 160)
    for picture, bgr in zip(pictures, frames()):
        view = bgr[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        expected = side_by_side(view, estimator(Frame(bgr, "bgr")).depth, 120)
        assert picture.shape == expected.shape
        blurred = [cv2.blur(image, (9, 9)).astype(int) for image in (picture, expected)]  # H.264 halves the colors
        assert np.abs(blurred[0] - blurred[1]).mean() < 6
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([bag.name, "out.mp4"])


def test_a_video_becomes_a_video_of_the_same_times(film, tmp_path, artifact_folder):
    assert run_video(film, tmp_path / "out.mp4", artifact_folder, "--field-of-view", "full") == 0
    times, pictures, _ = read_video(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, np.arange(30) / 10, atol=1e-3)
    assert pictures[0].shape == (160, 320, 3)
    assert run_video(film, tmp_path / "short.mp4", artifact_folder, "--seconds", "1") == 0
    assert len(read_video(tmp_path / "short.mp4")[0]) == 11


def test_times_that_jump_stay_and_those_that_do_not_grow_follow_at_once(tmp_path):
    with VideoWriter(tmp_path / "out.mp4") as writer:
        for stamp_ns in (5 * 10**18, 5 * 10**18 + 2 * 10**9, 5 * 10**18 + 2 * 10**9, 5 * 10**18 + 10**9):
            writer.write(stamp_ns, np.zeros((64, 64, 3), np.uint8))
    np.testing.assert_allclose(read_video(tmp_path / "out.mp4")[0], [0, 2, 2, 2], atol=1e-3)


def test_an_error_in_the_middle_leaves_nothing(tmp_path):
    def write_half() -> None:
        with VideoWriter(tmp_path / "out.mp4") as writer:
            writer.write(0, np.zeros((64, 64, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_is_cut_short_gives_what_it_has_and_says_so(film, tmp_path, artifact_folder, capfd):
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    assert run_video(tmp_path / "cut.mp4", tmp_path / "out.mp4", artifact_folder) == 0
    pictures = len(read_video(tmp_path / "out.mp4")[0])
    assert 0 < pictures < 30
    assert f"{30 - pictures} of 30 frames could not be read" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("absent.mp4", "no bag, video or camera 'absent.mp4'"),
        ("text.mp4", "cannot be opened"),
        ("empty.mp4", "cannot be opened"),
        ("97", "camera 97 cannot be opened"),
        ("/dev/video97", "camera /dev/video97 cannot be opened"),
        ("folder", "folder"),
    ],
)
def test_what_is_no_source_is_told_and_nothing_is_left(tmp_path, artifact_folder, capfd, monkeypatch, source, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    assert run_video(source, Path("out.mp4"), artifact_folder) == 1
    assert told in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.mp4", "folder", "text.mp4"]


@pytest.mark.parametrize(
    ("more", "told"), [(["--height", "121"], "even"), (["--image-topic", "/nothing"], "no topic /nothing")]
)
def test_options_that_do_not_fit_are_told(tmp_path, artifact_folder, capsys, more, told):
    assert run_video(BAGS["mcap"](tmp_path), tmp_path / "out.mp4", artifact_folder, *more) == 1
    assert told in capsys.readouterr().err


def test_a_video_that_exists_is_kept_unless_forced(tmp_path, artifact_folder, capsys):
    bag = BAGS["mcap"](tmp_path)
    (tmp_path / "out.mp4").write_text("dear")
    assert run_video(bag, tmp_path / "out.mp4", artifact_folder) == 1
    assert (tmp_path / "out.mp4").read_text() == "dear" and "exists" in capsys.readouterr().err
    assert run_video(bag, tmp_path / "out.mp4", artifact_folder, "--force") == 0
    assert len(read_video(tmp_path / "out.mp4")[0]) == 4
    assert run_video(bag, tmp_path / "out.avi", artifact_folder) == 1
    assert ".mp4" in capsys.readouterr().err


def test_a_video_without_a_picture_is_not_written(tmp_path):
    with pytest.raises(OSError, match="no picture"), VideoWriter(tmp_path / "out.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_bag_gives_its_frames_and_counts_those_it_cannot_read(tmp_path):
    with open_source(str(BAGS["mcap"](tmp_path)), IMAGE_TOPIC) as source:
        assert [stamp for stamp, _, _ in source.frames] == STAMPS_NS
        assert (source.total, source.live, source.unreadable) == (4, False, 0)


def image_bag(path: Path, moments: list[tuple[int, int, tuple[int, int]]]) -> Path:
    """A bag of gray images from their stamp, time of recording, and size (height, width)."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    header, time = types.types["std_msgs/msg/Header"], types.types["builtin_interfaces/msg/Time"]
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(IMAGE_TOPIC, "sensor_msgs/msg/Image", typestore=types)
        for stamp, recorded_ns, (height, width) in moments:
            data = np.full(height * width, 90, np.uint8)
            message = types.types["sensor_msgs/msg/Image"](
                header(time(*divmod(stamp, 10**9)), "eye"), height, width, "mono8", 0, width, data
            )
            writer.write(connection, recorded_ns, types.serialize_cdr(message, "sensor_msgs/msg/Image"))
    return path


@pytest.mark.parametrize(
    ("stamps", "stop"),
    [
        ([0, 0, 0, 0], 1),
        ([7, 7, 7, 7], 2),
        ([5, 5 + 10**8, 5, 5 + 10**9], 3),
        ([5, *(10**18 + number * 10**8 for number in range(3))], 2),
    ],
    ids=["zero", "equal", "back", "leaps by years"],
)
def test_where_stamps_do_not_go_on_the_times_are_the_recording_s_own(tmp_path, artifact_folder, capsys, stamps, stop):
    moments = [(stamp, 10**18 + number * 10**8, (64, 64)) for number, stamp in enumerate(stamps)]
    bag = image_bag(tmp_path / "bag", moments)
    assert run_video(bag, tmp_path / "out.mp4", artifact_folder, "--image-topic", IMAGE_TOPIC) == 0
    np.testing.assert_allclose(read_video(tmp_path / "out.mp4")[0], [0, 0.1, 0.2, 0.3], atol=1e-3)
    assert f"from frame {stop} on the times are those of the recording" in capsys.readouterr().out


def test_a_frame_that_gives_no_depth_is_told_and_the_others_come(tmp_path, artifact_folder, capsys):
    sizes = [(64, 64), (20, 20), (64, 64)]
    bag = image_bag(tmp_path / "bag", [(5 + i * 10**8, i * 10**8, size) for i, size in enumerate(sizes)])
    assert run_video(bag, tmp_path / "out.mp4", artifact_folder) == 0
    np.testing.assert_allclose(read_video(tmp_path / "out.mp4")[0], [0, 0.2], atol=1e-3)
    assert "1 of 3 frames could not be read: " in (told := capsys.readouterr().out) and "20x20" in told
    bag = image_bag(tmp_path / "small", [(5, 5, (20, 20))])
    assert run_video(bag, tmp_path / "none.mp4", artifact_folder) == 1
    assert "gives no picture" in (told := capsys.readouterr().err) and "20x20" in told
    assert not (tmp_path / "none.mp4").exists()


def test_an_address_goes_to_opencv_as_it_is_and_its_film_keeps_its_times(film, monkeypatch, capsys):
    opened = []

    class Absent:
        def __init__(self, name):
            opened.append(name)

        def isOpened(self):  # noqa: N802 - OpenCV's
            return False

        def release(self):
            pass

    with open_source(f"file://{film}") as source:
        assert (source.total, source.live) == (30, False)
        assert [time_ns for time_ns, _, _ in source.frames] == pytest.approx([i * 1e8 for i in range(30)], abs=1e6)
    monkeypatch.setattr(cv2, "VideoCapture", Absent)
    refused = pytest.raises(FastDepthError, match="stream rtsp://10.0.0.9:554/live cannot be opened")
    with refused, open_source("rtsp://10.0.0.9:554/live"):
        pass
    assert opened == ["rtsp://10.0.0.9:554/live"]


def test_a_stream_ends_with_its_sender_and_what_came_is_kept(monkeypatch):
    class Sender:
        def __init__(self, name):
            self._left = 3

        def isOpened(self):  # noqa: N802 - OpenCV's
            return True

        def get(self, key):
            return 0.0

        def read(self):
            self._left -= 1
            return self._left >= 0, np.zeros((64, 64, 3), np.uint8)

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Sender)
    with open_source("rtsp://camera/live") as source:
        assert source.live
        times = [time_ns for time_ns, _, _ in source.frames]
    assert len(times) == 3 and times == sorted(times)


def test_a_network_stream_that_breaks_off_is_told_and_what_came_is_kept():
    """MPEG-TS over TCP, in place of RTSP, which needs a server."""
    sent = io.BytesIO()
    with av.open(sent, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "5", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(60):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 4, np.uint8), format="bgr24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    listening = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(sent.getvalue()[: len(sent.getvalue()) * 2 // 3])

    sender = threading.Thread(target=send)
    sender.start()
    with open_source(f"tcp://127.0.0.1:{listening.getsockname()[1]}") as source:
        count = len(list(source.frames))
    sender.join()
    listening.close()
    assert source.live and 0 < count < 60
    assert f"the stream ended after {count} frames" in source.notes()[0]


def test_a_stream_that_refuses_is_told():
    with pytest.raises(FastDepthError, match="cannot be opened"), open_source("rtsp://127.0.0.1:9/live"):
        pass
